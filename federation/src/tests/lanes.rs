//! Lanes: order, priority, bounds, and whose turn it is.

use std::time::Instant;

use super::kit::*;
use crate::Lane;
use crate::close::{CloseCode, Ended};
use crate::frame;
use crate::lane::number;
use crate::limits::{
    FRAME_BYTES_MAX, INBOX_FRAMES_MAX, LANE_QUEUE_BYTES_MAX, PUSH_FACTOR, STREAM_WINDOW_BYTES, WASTE_FACTOR,
    YIELD_FACTOR,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_every_lane_arrive_both_ways_in_order() {
    let (one, two) = (Node::start(1), Node::start(2));
    two.dials(one.member, one.address());
    one.until_connected(two.member).await;
    two.until_connected(one.member).await;
    for (from, to) in [(&one, &two), (&two, &one)] {
        for lane in Lane::ALL {
            let largest = vec![b'l'; FRAME_BYTES_MAX];
            for frame in [b"first".as_slice(), &largest, b"last"] {
                from.send(to.member, lane, frame).await;
            }
            to.until_event(Event::Frame(from.member, lane, b"last".to_vec())).await;
            let of_lane = |event: &Event| matches!(event, Event::Frame(_, l, _) if *l == lane);
            let lengths: Vec<usize> = to
                .events()
                .into_iter()
                .filter(of_lane)
                .map(|event| if let Event::Frame(_, _, bytes) = event { bytes.len() } else { 0 })
                .collect();
            assert_eq!(lengths, [5, FRAME_BYTES_MAX, 4]);
        }
    }
    let status = one.until_peer(two.member, |status| status.counters.frames_received() == 12).await;
    assert_eq!(status.counters.connections(), 1);
    assert_eq!(status.software.as_deref(), Some("test 2"));
    one.federation.stop().await;
    two.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urgent_frame_passes_while_every_other_lane_is_stuck() {
    let node = Node::start(1);
    let link = Raw::new(2).dial(&node).await;
    node.until_connected(member(2)).await;
    // The peer reads nothing of these, and far more than every window is queued.
    let bulk = vec![b'b'; FRAME_BYTES_MAX];
    for lane in [Lane::Normal, Lane::Backfill, Lane::Blobs] {
        for _ in 0..64 {
            node.send(member(2), lane, &bulk).await;
        }
    }
    let counters = node.until_peer(member(2), |_| true).await.counters;
    let per_lane = u64::from(STREAM_WINDOW_BYTES) / FRAME_BYTES_MAX as u64;
    until("the windows are full", || counters.queued_bytes() > 8 * 1024 * 1024 && per_lane == 2).await;
    node.send(member(2), Lane::Urgent, b"alarm").await;
    let read = soon("the alarm", async {
        loop {
            let mut stream = link.connection.accept_uni().await.unwrap();
            let mut first = [0];
            stream.read_exact(&mut first).await.unwrap();
            if first == [number(Lane::Urgent)] {
                return frame::read(&mut stream).await.unwrap();
            }
            // Kept open and unread.
            std::mem::forget(stream);
        }
    });
    assert_eq!(read.await, b"alarm");
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_lane_queue_disconnects_that_peer_only() {
    let node = Node::start(1);
    let honest = Node::start(3);
    honest.dials(node.member, node.address());
    node.until_connected(honest.member).await;
    let stuck = Raw::new(2).dial(&node).await;
    node.until_connected(member(2)).await;
    let bulk = vec![b'b'; FRAME_BYTES_MAX];
    for _ in 0..=LANE_QUEUE_BYTES_MAX / FRAME_BYTES_MAX + 8 {
        node.send(member(2), Lane::Backfill, &bulk).await;
    }
    assert_eq!(stuck.closed().await, code(CloseCode::Backlog));
    node.until_event(Event::Disconnected(member(2))).await;
    let backlog = Some(Ended::ByUs(CloseCode::Backlog));
    node.until_peer(member(2), |status| status.ended == backlog).await;
    node.send(honest.member, Lane::Urgent, b"on it").await;
    honest.until_event(Event::Frame(node.member, Lane::Urgent, b"on it".to_vec())).await;
    honest.federation.stop().await;
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_take_turns_and_urgent_frames_go_first() {
    let node = Node::start(1);
    node.handle.command(Command::Congest(&Lane::ALL)).await.unwrap();
    let mut links = Vec::new();
    for number in [2, 3] {
        let link = Raw::new(number).dial(&node).await;
        node.until_connected(member(number)).await;
        let mut bulk = link.open_lane(Lane::Backfill).await;
        for index in 0..INBOX_FRAMES_MAX {
            frame::write(&mut bulk, vec![u8::try_from(index).unwrap()]).await.unwrap();
        }
        let mut urgent = link.open_lane(Lane::Urgent).await;
        frame::write(&mut urgent, b"alarm".to_vec()).await.unwrap();
        links.push((link, bulk, urgent));
        let all = INBOX_FRAMES_MAX as u64 + 1;
        let counters = node.until_peer(member(number), |_| true).await.counters;
        until("the inboxes are full", || counters.frames_received() == all).await;
    }
    node.handle.command(Command::Congest(&[])).await.unwrap();
    let total = 2 * INBOX_FRAMES_MAX + 2;
    let frames = |events: &[Event]| {
        let frame = |event: &Event| match event {
            Event::Frame(peer, lane, _) => Some((*peer, *lane)),
            Event::Connected(..) | Event::Disconnected(_) | Event::TookRoster(_) | Event::Restarted => None,
        };
        events.iter().filter_map(frame).collect::<Vec<_>>()
    };
    node.until("all frames", |events| frames(events).len() == total).await;
    let order = frames(&node.events());
    assert_eq!(order[..2], [(member(2), Lane::Urgent), (member(3), Lane::Urgent)]);
    for (index, (peer, lane)) in order[2..].iter().enumerate() {
        let turn = if index % 2 == 0 { member(2) } else { member(3) };
        assert_eq!((*peer, *lane), (turn, Lane::Backfill), "frame {index}");
    }
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_is_taken_while_there_is_no_room_for_anything_else_and_the_other_way_round() {
    let node = Node::start(1);
    let others = &[Lane::Normal, Lane::Backfill, Lane::Blobs];
    for (congested, from) in [(others as &'static [Lane], Lane::Urgent), (&[Lane::Urgent], Lane::Backfill)] {
        node.handle.command(Command::Congest(congested)).await.unwrap();
        let number = if from == Lane::Urgent { 2 } else { 3 };
        let link = Raw::new(number).dial(&node).await;
        node.until_connected(member(number)).await;
        let (mut urgent, mut bulk) =
            (link.open_lane(Lane::Urgent).await, link.open_lane(Lane::Backfill).await);
        frame::write(&mut bulk, b"x".to_vec()).await.unwrap();
        frame::write(&mut urgent, b"x".to_vec()).await.unwrap();
        let counters = node.until_peer(member(number), |_| true).await.counters;
        until("both wait", || counters.frames_received() == 2).await;
        node.until_event(Event::Frame(member(number), from, b"x".to_vec())).await;
        let rest = if from == Lane::Urgent { Lane::Backfill } else { Lane::Urgent };
        let waits = Event::Frame(member(number), rest, b"x".to_vec());
        assert!(!node.events().contains(&waits), "there is no room for it");
        node.handle.command(Command::Congest(&[])).await.unwrap();
        node.until_event(waits).await;
    }
    node.federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_that_calls_everything_urgent_does_not_stop_the_others() {
    let node = Node::start(1);
    node.handle.command(Command::Congest(&Lane::ALL)).await.unwrap();
    let quiet = Raw::new(3).dial(&node).await;
    node.until_connected(member(3)).await;
    let mut backfill = quiet.open_lane(Lane::Backfill).await;
    frame::write(&mut backfill, b"old".to_vec()).await.unwrap();
    let loud = Raw::new(2).dial(&node).await;
    node.until_connected(member(2)).await;
    let mut urgent = loud.open_lane(Lane::Urgent).await;
    let flood = tokio::spawn(async move { while frame::write(&mut urgent, b"!".to_vec()).await.is_ok() {} });
    let counters = node.until_peer(member(3), |_| true).await.counters;
    until("the old frame waits", || counters.frames_received() == 1).await;
    node.handle.command(Command::Congest(&[])).await.unwrap();
    node.until_event(Event::Frame(member(3), Lane::Backfill, b"old".to_vec())).await;
    node.federation.stop().await;
    soon("the flood ends with its connection", flood).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_pays_for_the_time_that_its_questions_take_the_loop() {
    pays_for(Lane::Normal, COSTLY, WASTE_FACTOR).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_pays_for_the_reading_of_what_nobody_asked_for_and_nothing_came_of() {
    // Reading it takes as long again.
    pays_for(Lane::Normal, UNASKED, PUSH_FACTOR + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_catches_up_rests_while_alarms_come() {
    pays_for(Lane::Backfill, NEWS, YIELD_FACTOR + 1).await;
}

/// Each of many such frames, after an alarm, takes this many times what it costs.
async fn pays_for(lane: Lane, bytes: &[u8], times: u32) {
    let node = Node::start(1);
    let link = Raw::new(2).dial(&node).await;
    node.until_connected(member(2)).await;
    let mut urgent = link.open_lane(Lane::Urgent).await;
    frame::write(&mut urgent, b"alarm".to_vec()).await.unwrap();
    node.until_event(Event::Frame(member(2), Lane::Urgent, b"alarm".to_vec())).await;
    let mut lane = link.open_lane(lane).await;
    let frames = 6 * INBOX_FRAMES_MAX;
    let began = Instant::now();
    for _ in 0..frames {
        frame::write(&mut lane, bytes.to_vec()).await.unwrap();
    }
    node.until("all frames", |events| {
        events.iter().filter(|e| matches!(e, Event::Frame(_, _, said) if said == bytes)).count() == frames
    })
    .await;
    // What the loop had done with when the last but one was read: all but the inbox and those in hand.
    let paid = u32::try_from(frames - INBOX_FRAMES_MAX - 3).unwrap();
    assert!(began.elapsed() >= COSTS * paid * times, "it paid nothing: {:?}", began.elapsed());
    node.federation.stop().await;
}
