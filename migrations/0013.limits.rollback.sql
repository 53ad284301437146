drop table sign_in_networks;
drop table limits;
