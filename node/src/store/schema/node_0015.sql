-- What is few among many, so that looking for it does not go through all of them: closed incidents for the figures,
-- the people at the desk, sessions that are over, and what was erased because somebody asked for it.
CREATE INDEX incident_closed ON incident (owner, code, closed_period, kind) WHERE closed_period IS NOT NULL;
CREATE INDEX person_at_desk ON person (id) WHERE role = 'operator';
CREATE INDEX session_by_end ON session (expires_ms);
CREATE INDEX blob_gone_asked ON blob_gone (doc) WHERE asked;
