//! Chunks that several readers get, encoded once.

use super::*;

fn events_of(bytes: &[u8]) -> Vec<MarketDataEvent> {
    StreamMarketDataResponse::decode(bytes).unwrap().events
}

/// Takes a message, or as much without one; true if there was any.
fn take(queue: &mut StreamQueue, message: bool, most: usize, out: &mut BytesMut) -> bool {
    if !message {
        return queue.pull(most, out);
    }
    let Some(taken) = queue.message(most) else {
        return false;
    };
    let (header, response) = taken.split_at(5);
    assert_eq!(header[0], 0, "it is not compressed");
    assert_eq!(header[1..], (response.len() as u32).to_be_bytes());
    out.extend_from_slice(response);
    true
}

proptest! {
    /// Whether others read the same makes no difference to any of them, nor does how it is taken.
    #[test]
    fn what_is_encoded_for_several_is_what_each_would_get(
        sizes in prop::collection::vec(1_usize..12, 1..12),
        pulls in prop::collection::vec((0_usize..3, any::<bool>(), 1_usize..400), 0..40),
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
            alone.push(chunk(&ticks), now());
            let shared = chunk(&ticks);
            queues.iter_mut().for_each(|queue| queue.push(shared.clone(), now()));
            if let Some((who, message, most)) = pulls.next() {
                take(&mut queues[who], message, most, &mut outs[who]);
            }
        }
        for (who, message, most) in pulls {
            take(&mut queues[who], message, most, &mut outs[who]);
        }
        let mut expected = BytesMut::new();
        while alone.pull(1 << 20, &mut expected) {}
        for (number, (queue, out)) in queues.iter_mut().zip(&mut outs).enumerate() {
            while take(queue, number > 0, 1 << 20, out) {}
            prop_assert_eq!(events_of(out), events_of(&expected));
            prop_assert_eq!((queue.totals(), queue.unread()), (alone.totals(), 0));
        }
    }
}
