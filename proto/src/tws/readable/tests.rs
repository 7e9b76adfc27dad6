use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::tws::messages::id;
use crate::tws::v1 as tws;

const TICK: [u8; 2] = [0x08, 0x07];

fn with(begin: &[u8], end: &[u8]) -> Vec<u8> {
    [begin, end].concat()
}

#[test]
fn every_message_of_gateway_has_a_shape_and_no_shape_holds_itself() {
    for row in all_incoming().iter().filter(|row| row.body.is_some()) {
        let shape = shape_of(row.wire_id()).unwrap();
        assert_eq!(Some(shape.name), row.body, "{}", row.name);
    }
    // So a walk goes no deeper than the schema.
    fn depth(shape: &Shape, above: usize) -> usize {
        assert!(above < 10, "{} holds itself", shape.name);
        let below = shape.fields.iter().map(|kind| match kind {
            Kind::Message(place) => depth(&SHAPES[usize::from(*place)], above + 1),
            _ => above,
        });
        below.max().unwrap_or(above)
    }
    assert!(SHAPES.iter().map(|shape| depth(shape, 0)).max().unwrap() >= 2);
}

#[test]
fn what_a_reader_would_refuse_is_malformed() {
    let endless = [&[0x10][..], &[0xff; 10], &[1]].concat();
    for (what, end) in [
        ("cut off", &[0x19, 0, 0][..]),
        ("a number as a text", &[0x12, 1, b'x']),
        ("a group", &[0x1b]),
        ("a varint of eleven bytes", &endless),
        ("field 0", &[0x00, 0x01]),
        ("a length beyond the end", &[0x22, 0x09, b'x']),
        ("a length of six bytes", &[0x22, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
    ] {
        let body = with(&TICK, end);
        assert_eq!(check(id::TICK_PRICE, &body), Err(Fault::Malformed), "{what}");
        assert_eq!(mend(id::TICK_PRICE, &body), None, "{what}");
        assert!(check(1, &body).is_ok(), "a text form has no fields");
    }
    let nested = with(&TICK, &[0x12, 0x02, 0x08, 0xff]);
    assert_eq!(check(id::MARKET_DEPTH, &nested), Err(Fault::Malformed));
    let newer = with(&TICK, &[0xfa, 0x3e, 0x02, 0xff, 0xfe]);
    assert_eq!(check(id::TICK_PRICE, &newer), Ok(()), "a field of a newer Gateway");
    assert_eq!(check(399, &newer), Ok(()));
    assert_eq!(check(399, &newer[..newer.len() - 1]), Err(Fault::Malformed));
}

#[test]
fn a_number_of_any_length_ends_where_it_ends() {
    for length in 1..=10 {
        let mut number = vec![0x80; length - 1];
        number.push(1);
        let whole = [&[0x10][..], &number, &[0x19], &[0x7f; 8], &[0x22, 1, b'x']].concat();
        assert_eq!(check(id::TICK_PRICE, &whole), Ok(()), "{length}");
        for cut in 1..whole.len() {
            let cut_where_a_field_ends = [1 + length, 10 + length].contains(&cut);
            let is_whole = check(id::TICK_PRICE, &whole[..cut]).is_ok();
            assert_eq!(is_whole, cut_where_a_field_ends, "{length}, cut at {cut}");
        }
    }
}

#[test]
fn text_of_another_code_page_is_mended_wherever_it_stands() {
    let news = with(&TICK, &[0x2a, 4, b'c', b'a', b'f', 0xe9]);
    assert_eq!(check(id::TICK_NEWS, &news), Err(Fault::Text));
    let mended = mend(id::TICK_NEWS, &news).unwrap();
    assert_eq!(check(id::TICK_NEWS, &mended), Ok(()));
    assert_eq!(tws::TickNews::decode(&mended[..]).unwrap().headline(), "caf\u{fffd}");

    let position = [0x0a, 2, b'D', 0xe9, 0x12, 5, 0x12, 3, b'A', 0xff, b'B', 0x1a, 1, b'1'];
    assert_eq!(check(id::POSITION_DATA, &position), Err(Fault::Text));
    let mended = mend(id::POSITION_DATA, &position).unwrap();
    let mended = tws::Position::decode(&mended[..]).unwrap();
    assert_eq!((mended.account(), mended.position()), ("D\u{fffd}", "1"));
    assert_eq!(mended.contract.unwrap().symbol(), "A\u{fffd}B");
}

proptest! {
    #[test]
    fn what_passes_can_be_decoded_and_what_was_encoded_passes(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        text in ".{0,20}",
        number in any::<i32>(),
    ) {
        if check(id::CONTRACT_DATA, &bytes).is_ok() {
            prop_assert!(tws::ContractData::decode(&bytes[..]).is_ok());
        }
        if let Some(mended) = mend(id::CONTRACT_DATA, &bytes) {
            prop_assert!(tws::ContractData::decode(&mended[..]).is_ok());
        }
        let options = [(text.clone(), text.clone())].into();
        let contract = tws::Contract {
            con_id: Some(number),
            symbol: Some(text),
            ..Default::default()
        };
        let details = tws::ContractDetails { sec_id_list: options, ..Default::default() };
        let whole = tws::ContractData {
            req_id: Some(number),
            contract: Some(contract),
            contract_details: Some(details),
        };
        let body = whole.encode_to_vec();
        prop_assert_eq!(check(id::CONTRACT_DATA, &body), Ok(()));
        prop_assert_eq!(mend(id::CONTRACT_DATA, &body), Some(body));
    }
}
