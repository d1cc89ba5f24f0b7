-- The first schema. Times are milliseconds since 1970 UTC. Unsigned numbers of 64 bits that are only
-- compared for equality (boots, sessions, the epoch) and times stand bit for bit in signed columns.

-- One row.
CREATE TABLE store (
    epoch INTEGER NOT NULL -- which history this is; change it after restoring a backup
) STRICT;

-- The heads of the logs. The key (kind, then ids, big-endian) is mapped to a small number, which is
-- what the large tables carry.
CREATE TABLE conversation (
    id        INTEGER PRIMARY KEY,
    key       BLOB    NOT NULL UNIQUE, -- 01 + two users: direct; 02 + group; 03 + user: inbox
    seq       INTEGER NOT NULL,        -- of the last entry
    ordinal   INTEGER NOT NULL,        -- number of countable entries
    time      INTEGER NOT NULL,        -- of the last entry
    first_seq INTEGER NOT NULL,        -- the first entry that retention has kept
    rules_seq INTEGER NOT NULL
) STRICT;

-- All entries of all conversations in the order of their arrival, so that the table grows at its end
-- only; clustered by conversation it takes a third of the writes. The id is the journal's position:
-- it grows with every entry and is never used twice, because the last entry of a conversation is
-- kept, without its content, even when retention takes everything (and then lies below first_seq).
CREATE TABLE log (
    id           INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    time         INTEGER NOT NULL,
    sender       INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    countable    INTEGER NOT NULL,
    ordinal      INTEGER NOT NULL,
    target       INTEGER,
    client_id    BLOB, -- with digest: the record of a command, on its first entry only
    digest       BLOB,
    content      BLOB  -- canonical bytes; NULL once redacted
) STRICT;
CREATE UNIQUE INDEX log_by_seq ON log (conversation, seq);
-- Led by the client id, which is time-ordered where clients do as they should: grows at its end too.
CREATE UNIQUE INDEX log_once ON log (client_id, sender, conversation) WHERE client_id IS NOT NULL;
CREATE INDEX log_by_target ON log (conversation, target) WHERE target IS NOT NULL;

-- What remains of a command when retention takes its entry. A table of its own lets retention give
-- the space of the log back; it is looked at only for conversations that have been trimmed.
CREATE TABLE trimmed_command (
    client_id    BLOB    NOT NULL,
    sender       INTEGER NOT NULL,
    conversation INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    time         INTEGER NOT NULL,
    digest       BLOB    NOT NULL,
    PRIMARY KEY (client_id, sender, conversation)
) STRICT, WITHOUT ROWID;

-- One user's place in one conversation.
CREATE TABLE member (
    conversation INTEGER NOT NULL,
    user         INTEGER NOT NULL,
    key          BLOB    NOT NULL, -- the conversation's, for the order of a user's memberships
    standing     INTEGER NOT NULL, -- 1 owner, 2 admin, 3 member, 4 invited, 5 asking, 6 former
    relation     INTEGER NOT NULL, -- direct: 0 none, 1 outgoing, 2 incoming, 3 contact
    blocked      INTEGER NOT NULL,
    muted_until  INTEGER,
    joined_seq   INTEGER NOT NULL,
    visible_from INTEGER NOT NULL,
    left_seq     INTEGER,
    read_seq     INTEGER NOT NULL, -- the read cursor, with what was counted up to it
    read_ordinal INTEGER NOT NULL,
    read_own     INTEGER NOT NULL,
    delivered    INTEGER NOT NULL,
    own          INTEGER NOT NULL, -- countable entries that this user wrote here
    PRIMARY KEY (conversation, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_by_user ON member (user, key);
CREATE INDEX member_by_joining ON member (conversation, joined_seq, user, standing);

CREATE TABLE account (
    user          INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    display_name  TEXT    NOT NULL,
    password_hash TEXT, -- argon2id, PHC string format
    created       INTEGER NOT NULL,
    deleted       INTEGER
) STRICT;

CREATE TABLE device (
    id         INTEGER PRIMARY KEY,
    user       INTEGER NOT NULL,
    label      TEXT    NOT NULL,
    token_hash BLOB    NOT NULL, -- SHA-256
    created    INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    node       TEXT, -- the slot of its session: all three or none
    boot       INTEGER,
    session    INTEGER
) STRICT;
CREATE INDEX device_by_user ON device (user, created, id);
CREATE INDEX device_by_token ON device (token_hash);

-- The settings of groups; `group` is a word of SQL.
CREATE TABLE chat_group (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    handle      TEXT UNIQUE,
    join_policy INTEGER NOT NULL, -- 1 open, 2 on request, 3 by invitation
    history     INTEGER NOT NULL, -- 1 since the join, 2 all
    members     INTEGER NOT NULL,
    dissolved   INTEGER NOT NULL
) STRICT;
