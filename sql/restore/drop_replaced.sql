-- Remove the database that the last restore but one put aside.
drop database if exists frontdesk_before_restore with (force)
