-- The first schema. Times are milliseconds since 1970 UTC. What identifies something is VARBINARY, so
-- that no collation makes two of one; no foreign keys, so that the tables can be sharded by
-- conversation. Statements end with a semicolon at the end of a line. DDL commits by itself here:
-- each statement can be run again where a migration was broken off.

-- One row: which history this is. Change it after restoring a backup.
CREATE TABLE IF NOT EXISTS store (
    id    TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    epoch BIGINT UNSIGNED  NOT NULL
) ENGINE = InnoDB;

-- The heads of the logs. The key (kind, then ids, big-endian) stands in every table that holds
-- something of a conversation: 01 + two users: direct; 02 + group; 03 + user: inbox. It is the
-- primary key, so that a locking read of several heads takes them in its order.
CREATE TABLE IF NOT EXISTS head (
    conversation VARBINARY(17)   NOT NULL PRIMARY KEY,
    seq          BIGINT UNSIGNED NOT NULL COMMENT 'of the last entry',
    ordinal      BIGINT UNSIGNED NOT NULL COMMENT 'number of countable entries',
    time         BIGINT UNSIGNED NOT NULL COMMENT 'of the last entry',
    first_seq    BIGINT UNSIGNED NOT NULL COMMENT 'the first entry that retention has kept',
    rules_seq    BIGINT UNSIGNED NOT NULL
) ENGINE = InnoDB;

-- The entries, clustered by conversation: a page of history is one range of one tree. The index of
-- commands leads with the client id, which is time-ordered where clients do as they should, so that
-- it grows at its end; it holds the seq too, and so answers by itself whether a command is recorded.
CREATE TABLE IF NOT EXISTS log (
    conversation VARBINARY(17)    NOT NULL,
    seq          BIGINT UNSIGNED  NOT NULL,
    time         BIGINT UNSIGNED  NOT NULL,
    sender       BIGINT UNSIGNED  NOT NULL,
    kind         SMALLINT UNSIGNED NOT NULL,
    countable    TINYINT UNSIGNED NOT NULL,
    ordinal      BIGINT UNSIGNED  NOT NULL,
    target       BIGINT UNSIGNED  NULL,
    client_id    BINARY(16)       NULL COMMENT 'with digest: the record of a command, on its first entry only',
    digest       BINARY(16)       NULL,
    content      LONGBLOB         NULL COMMENT 'canonical bytes; NULL once redacted',
    PRIMARY KEY (conversation, seq),
    UNIQUE KEY log_once (client_id, sender, conversation)
) ENGINE = InnoDB;

-- Which uncountable entries refer to another one. A table of its own, because an index of the log
-- would have a row for every entry, and few refer.
CREATE TABLE IF NOT EXISTS referring (
    conversation VARBINARY(17)   NOT NULL,
    target       BIGINT UNSIGNED NOT NULL,
    seq          BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (conversation, target, seq)
) ENGINE = InnoDB;

-- What remains of a command when retention takes its entry; looked at only for conversations that
-- have been trimmed.
CREATE TABLE IF NOT EXISTS trimmed_command (
    client_id    BINARY(16)      NOT NULL,
    sender       BIGINT UNSIGNED NOT NULL,
    conversation VARBINARY(17)   NOT NULL,
    seq          BIGINT UNSIGNED NOT NULL,
    time         BIGINT UNSIGNED NOT NULL,
    digest       BINARY(16)      NOT NULL,
    PRIMARY KEY (client_id, sender, conversation)
) ENGINE = InnoDB;

-- One user's place in one conversation.
CREATE TABLE IF NOT EXISTS member (
    conversation VARBINARY(17)    NOT NULL,
    user         BIGINT UNSIGNED  NOT NULL,
    standing     TINYINT UNSIGNED NOT NULL COMMENT '1 owner, 2 admin, 3 member, 4 invited, 5 asking, 6 former',
    relation     TINYINT UNSIGNED NOT NULL COMMENT 'direct: 0 none, 1 outgoing, 2 incoming, 3 contact',
    blocked      TINYINT UNSIGNED NOT NULL,
    muted_until  BIGINT UNSIGNED  NULL,
    joined_seq   BIGINT UNSIGNED  NOT NULL,
    visible_from BIGINT UNSIGNED  NOT NULL,
    left_seq     BIGINT UNSIGNED  NULL,
    read_seq     BIGINT UNSIGNED  NOT NULL COMMENT 'the read cursor, with what was counted up to it',
    read_ordinal BIGINT UNSIGNED  NOT NULL,
    read_own     BIGINT UNSIGNED  NOT NULL,
    delivered    BIGINT UNSIGNED  NOT NULL,
    own          BIGINT UNSIGNED  NOT NULL COMMENT 'countable entries that this user wrote here',
    PRIMARY KEY (conversation, user),
    KEY member_by_user (user, conversation),
    KEY member_by_joining (conversation, joined_seq, user, standing)
) ENGINE = InnoDB;

-- One row per batch that appended: which heads it moved and how far, as (length of the key, key,
-- seq in 8 bytes, big-endian) one after another. Numbers of one writer become visible in order.
CREATE TABLE IF NOT EXISTS journal (
    writer BIGINT UNSIGNED NOT NULL,
    number BIGINT UNSIGNED NOT NULL,
    time   BIGINT UNSIGNED NOT NULL COMMENT 'of the batch',
    moved  LONGBLOB        NOT NULL,
    PRIMARY KEY (writer, number)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS account (
    user          BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    name          VARBINARY(255)  NOT NULL,
    display_name  TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    password_hash TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT 'argon2id, PHC string format',
    created       BIGINT UNSIGNED NOT NULL,
    deleted       BIGINT UNSIGNED NULL,
    UNIQUE KEY account_by_name (name)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS device (
    id         BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    user       BIGINT UNSIGNED NOT NULL,
    label      TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    token_hash BINARY(32)      NOT NULL COMMENT 'SHA-256',
    created    BIGINT UNSIGNED NOT NULL,
    last_seen  BIGINT UNSIGNED NOT NULL,
    node       TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT 'the slot of its session: all three or none',
    boot       BIGINT UNSIGNED NULL,
    session    BIGINT UNSIGNED NULL,
    KEY device_by_user (user, created, id),
    KEY device_by_token (token_hash)
) ENGINE = InnoDB;

-- The settings of groups.
CREATE TABLE IF NOT EXISTS chat_group (
    id          BIGINT UNSIGNED  NOT NULL PRIMARY KEY,
    name        TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    description TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    handle      VARBINARY(255)   NULL,
    join_policy TINYINT UNSIGNED NOT NULL COMMENT '1 open, 2 on request, 3 by invitation',
    history     TINYINT UNSIGNED NOT NULL COMMENT '1 since the join, 2 all',
    members     BIGINT UNSIGNED  NOT NULL,
    dissolved   TINYINT UNSIGNED NOT NULL,
    UNIQUE KEY chat_group_by_handle (handle)
) ENGINE = InnoDB;
