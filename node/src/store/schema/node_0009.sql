-- To whom the authority of its owner offers it, while that node has not answered.
ALTER TABLE incident ADD COLUMN takeover_to BLOB;
CREATE INDEX incident_takeover_to ON incident (takeover_to) WHERE takeover_to IS NOT NULL;
-- True once this node itself, as the authority, has taken it over from somebody.
ALTER TABLE incident ADD COLUMN took_over INTEGER NOT NULL DEFAULT 0;
-- Envelopes of expelled nodes that nobody has vouched for.
ALTER TABLE incident ADD COLUMN unconfirmed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX incident_unconfirmed ON incident (doc) WHERE unconfirmed > 0;
-- What is here already is read anew.
DELETE FROM meta WHERE name = 'derived_under';
