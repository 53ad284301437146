-- End all sessions of all accounts.
delete from sessions
