-- Stores that come out of an archive.

-- At most one row: how far the import has come. Until it is finished the store is not served.
CREATE TABLE archive_import (
    archive  BLOB    NOT NULL, -- its name
    reached  BLOB,             -- the position of the last record, canonical bytes; NULL before the first
    finished INTEGER NOT NULL
) STRICT;

-- The record of a command stands among those of trimmed entries as soon as its entry lies below
-- first_seq. That of a last entry, which is kept without its content, used to remain in the log.
INSERT INTO trimmed_command (client_id, sender, conversation, seq, time, digest)
SELECT log.client_id, log.sender, log.conversation, log.seq, log.time, log.digest
FROM conversation CROSS JOIN log ON log.conversation = conversation.id AND log.seq = conversation.seq
WHERE conversation.first_seq > conversation.seq AND log.client_id IS NOT NULL;
UPDATE log SET client_id = NULL, digest = NULL
WHERE id IN (
    SELECT log.id
    FROM conversation CROSS JOIN log ON log.conversation = conversation.id AND log.seq = conversation.seq
    WHERE conversation.first_seq > conversation.seq AND log.client_id IS NOT NULL
);
