//! Chunks that several readers get, encoded once.

use super::*;

fn events_of(bytes: &[u8]) -> Vec<MarketDataEvent> {
    StreamMarketDataResponse::decode(bytes).unwrap().events
}

proptest! {
    /// Whether others read the same makes no difference to any of them.
    #[test]
    fn what_is_encoded_for_several_is_what_each_would_get(
        sizes in prop::collection::vec(1_usize..12, 1..12),
        pulls in prop::collection::vec((0_usize..3, 1_usize..400), 0..40),
    ) {
        let mut queues: Vec<_> = (0..3).map(|_| StreamQueue::new(1 << 20)).collect();
        let mut alone = StreamQueue::new(1 << 20);
        let mut outs: Vec<_> = (0..3).map(|_| BytesMut::new()).collect();
        let mut sequence = 0;
        let mut pulls = pulls.into_iter();
        for size in sizes {
            let ticks: Vec<_> = (0..size)
                .map(|_| {
                    sequence += 1;
                    (sequence as u32 % 3, sequence, tick(1, sequence as f64))
                })
                .collect();
            let mut shared = chunk(&ticks);
            alone.push(shared.clone(), now());
            shared.encoded = Some(Arc::default());
            queues.iter_mut().for_each(|queue| queue.push(shared.clone(), now()));
            if let Some((who, most)) = pulls.next() {
                queues[who].pull(most, &mut outs[who]);
            }
        }
        for (who, most) in pulls {
            queues[who].pull(most, &mut outs[who]);
        }
        let mut expected = BytesMut::new();
        while alone.pull(1 << 20, &mut expected) {}
        for (queue, out) in queues.iter_mut().zip(&mut outs) {
            while queue.pull(1 << 20, out) {}
            prop_assert_eq!(events_of(out), events_of(&expected));
            prop_assert_eq!((queue.totals(), queue.unread()), (alone.totals(), 0));
        }
    }
}
