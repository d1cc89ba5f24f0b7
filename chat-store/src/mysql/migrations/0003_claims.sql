-- Turns on clusters whose servers all take writes: who met others too often names the conversations
-- that it wants to write to, and others let it go first. A row is gone when its batch is through; one
-- that was left behind says nothing after some seconds.
CREATE TABLE IF NOT EXISTS claim (
    writer       BIGINT UNSIGNED NOT NULL,
    conversation VARBINARY(17)   NOT NULL,
    since        BIGINT UNSIGNED NOT NULL COMMENT 'milliseconds since 1970 by the server''s clock',
    PRIMARY KEY (writer, conversation)
) ENGINE = InnoDB;
