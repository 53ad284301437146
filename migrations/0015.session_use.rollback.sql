alter table sessions reset (fillfactor);
alter table sessions drop column rotated_at;
alter table sessions drop column rotation;
alter table sessions drop column device;
alter table sessions drop column address;
alter table sessions drop column last_used_at;
alter table sessions drop column opened_at;
