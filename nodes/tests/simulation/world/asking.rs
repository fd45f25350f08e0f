//! Clients and nodes: requests, replies, and giving up.

use super::*;

impl<P: Protocol, C: Checks<P>> World<P, C> {
    /// A client does its next thing.
    pub(super) fn act(&mut self, client: usize) -> Outcome {
        if self.healed || self.clients[client].waiting.is_some() {
            return Ok(());
        }
        let node = self.rng.random_range(0..self.nodes.len());
        if self.nodes[node].core.is_none() {
            // Connection refused.
            self.think(client, 4);
            return Ok(());
        }
        let op = self.clients[client].next(&mut self.rng, &self.schedule, &mut self.oracle);
        let attempt = self.oracle.invoke(op);
        self.clients[client].waiting = Some(attempt);
        trace!(self, "client {client} asks node {}, attempt {attempt}: {:?}", node + 1, self.oracle.request(op));
        self.after(self.schedule.patience, Event::GiveUp { client, attempt });
        self.ask(node, Asker::Client(client, attempt), op)
    }

    /// Hands a request to a node. A paused one takes it too, late or never: then nobody waits for the answer in vain for long.
    pub(super) fn ask(&mut self, node: usize, asker: Asker, op: usize) -> Outcome {
        let request = self.oracle.request(op).clone();
        let state = &mut self.nodes[node];
        state.requests += 1;
        let id = RequestId(state.requests);
        state.asked.insert(id, asker);
        if state.paused_until > self.now {
            let (resumes, life) = (state.paused_until, state.life);
            let delay = self.resume_delay(resumes);
            self.after(delay, Event::Ask { node, life, id, request });
            return Ok(());
        }
        self.step(node, Input::Client { id, request })
    }

    pub(super) fn reply(&mut self, node: usize, id: RequestId, reply: &Reply) -> Outcome {
        trace!(self, "node {} replies to {id:?}: {reply:?}", node + 1);
        let Some(asker) = self.nodes[node].asked.remove(&id) else {
            return Err(format!("a reply to nobody's request: {id:?} {reply:?}"));
        };
        match asker {
            Asker::Client(client, attempt) => {
                self.judge(attempt, reply)?;
                // A client that gave up does not see what comes now, but it must be right all the same.
                if self.clients[client].waiting == Some(attempt) {
                    self.end_attempt(client, Some(reply));
                }
            }
            Asker::Operator(attempt) => self.oracle.reply(attempt, reply)?,
            Asker::Probe(attempt) => {
                self.judge(attempt, reply)?;
                if matches!(reply, Reply::Answer(_)) {
                    self.nodes[node].probed = true;
                } else {
                    self.after(HEARTBEAT, Event::Probe { node });
                }
            }
        }
        Ok(())
    }

    fn judge(&mut self, attempt: AttemptId, reply: &Reply) -> Outcome {
        if self.schedule.blind { Ok(()) } else { self.oracle.reply(attempt, reply) }
    }

    pub(super) fn end_attempt(&mut self, client: usize, reply: Option<&Reply>) {
        self.clients[client].ended(&mut self.rng, &self.oracle, reply);
        let refused = matches!(reply, Some(Reply::Refused(_)));
        self.think(client, if refused { 4 } else { 1 });
    }

    fn think(&mut self, client: usize, times: u64) {
        let think = self.rng.random_range(0..=self.schedule.think_max * times);
        self.after(think, Event::Act { client });
    }
}
