-- Closed incidents are counted for the figures, of many that are not closed.
CREATE INDEX incident_closed ON incident (owner, code, closed_period, kind) WHERE closed_period IS NOT NULL;
