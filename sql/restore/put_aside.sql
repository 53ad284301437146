-- Put the database in force aside. In one transaction with restore/put_in_force: there is always one in force.
alter database frontdesk rename to frontdesk_before_restore
