-- Version 1 → 2.

-- What was brought back from the archive stays the archive's own, whatever becomes of it here.
UPDATE messages SET archived = 4611686018427387904 WHERE id < 1;
