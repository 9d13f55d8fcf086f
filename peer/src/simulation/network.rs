//! What becomes of bytes: written, carried, read; and how connections end.

use bytes::Bytes;
use common::link::CloseReason;
use common::proto::event::{GoingAway, HostEvent};
use common::proto::limits::{PING_EVERY, SILENCE_LIMIT, WRITE_LIMIT};
use common::proto::session::Ping;
use common::proto::status::Code;
use common::proto::{self, Frame};

use super::Side;
use super::history::{Checked, Violation, ensure};
use super::wire::{Piece, Waiter};
use super::world::{What, World};

impl World {
    /// The writer of this side has something to do.
    pub fn plan_write(&mut self, wire: u64, side: Side) {
        self.soon(What::Write(wire, side));
    }

    pub fn write(&mut self, id: u64, side: Side) -> Checked {
        let delay = self.random.mostly(self.delay, 20 * self.delay);
        let Some(wire) = self.wires.get_mut(&id) else { return Ok(()) };
        let way = &mut wire.ways[side as usize];
        ensure(way.is_bounded(), || format!("{} bytes wait to be written", way.queue.waiting_bytes()))?;
        let Some(at) = way.write(self.now, delay) else { return Ok(()) };
        // What was too much for one batch, and the end, come next.
        let is_more = way.queue.waiting_bytes() > 0 || !wire.is_open[side as usize];
        self.later(at - self.now, What::Arrive(id, side));
        if is_more {
            self.plan_write(id, side);
        }
        Ok(())
    }

    /// Something that `from` sent may have arrived.
    pub fn arrive(&mut self, id: u64, from: Side) -> Checked {
        let to = from.other();
        let Some(wire) = self.wires.get(&id) else { return Ok(()) };
        if wire.is_cut {
            return Ok(());
        }
        let held = wire.stalled_until.max(match to {
            Side::Client => self.clients[wire.client].reads_again,
            Side::Host => 0,
        });
        let is_full = to == Side::Client && self.client_is_full(id);
        if held > self.now || is_full {
            let delay = held.saturating_sub(self.now).max(20);
            self.later(delay, What::Arrive(id, from));
            return Ok(());
        }
        let Some(wire) = self.wires.get_mut(&id) else { return Ok(()) };
        let Some(piece) = wire.ways[from as usize].arrive(self.now) else { return Ok(()) };
        wire.heard[to as usize] = self.now;
        self.plan_write(id, from);
        match piece {
            Piece::Lines(lines) => self.read_lines(id, to, &lines),
            Piece::End => self.ended(id, to, CloseReason::There),
        }
    }

    fn read_lines(&mut self, id: u64, to: Side, lines: &Bytes) -> Checked {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if !self.wires.get(&id).is_some_and(|wire| wire.is_open[to as usize]) {
                return Ok(());
            }
            let frame = Frame::parse(line.trim_ascii_end());
            match frame.map_err(|refusal| Violation(refusal.to_string()))? {
                Frame::Request(request) => self.host_asked(id, request)?,
                Frame::Response(response) => self.client_answered(id, response.id, response.outcome)?,
                Frame::Event(event) => match HostEvent::parse(&event.name, &event.body) {
                    Ok(HostEvent::GoingAway(told)) => self.ended(id, to, CloseReason::Told(told.reason))?,
                    Ok(event) => self.client_told(id, event)?,
                    Err(refusal) => return Err(Violation(refusal.to_string())),
                },
            }
        }
        Ok(())
    }

    /// A side learns that the connection has ended.
    pub fn ended(&mut self, id: u64, side: Side, why: CloseReason) -> Checked {
        if !self.shut(id, side) {
            return Ok(());
        }
        match side {
            Side::Client => self.client_lost(id, why),
            Side::Host => {
                self.soon(What::HostLeft(id));
                Ok(())
            }
        }
    }

    /// This side takes and reads nothing more; what waits is still written. Whether it was open.
    pub fn shut(&mut self, id: u64, side: Side) -> bool {
        let Some(wire) = self.wires.get_mut(&id) else { return false };
        let was_open = std::mem::replace(&mut wire.is_open[side as usize], false);
        if was_open {
            wire.out(side).close(None, false);
            self.plan_write(id, side);
        }
        was_open
    }

    /// The host ends a connection, and says why.
    pub fn close_because(&mut self, id: u64, side: Side, why: Code, drop_waiting: bool) {
        if let Some(wire) = self.wires.get(&id) {
            let last = proto::encode_event(&GoingAway { reason: why.into() }).ok();
            wire.out(side).close(last, drop_waiting);
        }
        if self.shut(id, side) {
            self.soon(What::HostLeft(id));
        }
    }

    /// The process at this side is gone: nothing is written any more, and the other side may hear of it, or not.
    pub fn die(&mut self, id: u64, side: Side) {
        let tells = !self.random.one_in(4);
        let delay = self.random.within(1, 200);
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.is_open[side as usize] = false;
        wire.out(side).close(None, true);
        wire.is_cut = true;
        if tells {
            self.later(delay, What::Notice(id, side.other()));
        }
    }

    /// The connection breaks. Each side notices, or not.
    pub fn cut(&mut self, id: u64) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.is_cut = true;
        for side in [Side::Client, Side::Host] {
            if !self.random.one_in(3) {
                let delay = self.random.within(0, 3000);
                self.later(delay, What::Notice(id, side));
            }
        }
    }

    /// Once a second: who has heard nothing for too long hangs up, and so does who cannot write.
    pub fn watch(&mut self, id: u64) -> Checked {
        let now = self.now;
        let pauses = self.wires.get(&id).is_some_and(|wire| self.clients[wire.client].reads_again > now);
        if let Some(wire) = self.wires.get_mut(&id).filter(|_| pauses) {
            // Who does not read does not notice silence.
            wire.heard[Side::Client as usize] = now;
        }
        let Some(wire) = self.wires.get(&id) else { return Ok(()) };
        if wire.is_over {
            self.wires.remove(&id);
            return Ok(());
        }
        let silent = |side: Side| now - wire.heard[side as usize] >= SILENCE_LIMIT.as_millis() as u64;
        let stuck = |side: Side| {
            let since = wire.ways[side as usize].blocked_since;
            since.is_some_and(|since| now - since >= WRITE_LIMIT.as_millis() as u64)
        };
        let ends: Vec<_> = [Side::Client, Side::Host]
            .into_iter()
            .filter_map(|side| match (silent(side), stuck(side)) {
                (true, _) => Some((side, CloseReason::Silent)),
                (_, true) => Some((side, CloseReason::SlowReader)),
                _ => None,
            })
            .collect();
        // Whoever has to hear of the end has heard of it by the next look.
        let is_over = !wire.is_open[0] && !wire.is_open[1];
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.is_over = is_over;
        }
        self.later(1000, What::Watch(id));
        for (side, why) in ends {
            self.count.slow_readers += u64::from(why == CloseReason::SlowReader);
            self.ended(id, side, why)?;
        }
        Ok(())
    }

    pub fn ping(&mut self, id: u64) {
        if self.wires.get(&id).is_some_and(|wire| wire.is_open[Side::Client as usize]) {
            self.client_asks(id, &Ping {}, Waiter::Ping);
            self.later(PING_EVERY.as_millis() as u64, What::Ping(id));
        }
    }
}
