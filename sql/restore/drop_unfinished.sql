-- Remove the database of a restore that was not completed.
drop database if exists frontdesk_restoring with (force)
