-- At most one row: how far an import from an archive has come. Until it is finished the store is not
-- served.
CREATE TABLE IF NOT EXISTS archive_import (
    id       TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    archive  BINARY(16)       NOT NULL COMMENT 'its name',
    reached  VARBINARY(255)   NULL COMMENT 'the position of the last record; NULL before the first',
    finished TINYINT UNSIGNED NOT NULL
) ENGINE = InnoDB;
