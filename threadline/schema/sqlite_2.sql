
-- Step 2: the column journal_key. Programs of step 1 do not know it and work on, so
-- the version stays 1.
ALTER TABLE main."threadline_audit_actions" ADD COLUMN journal_key TEXT;
