create table bottles (
  id int primary key,
  name varchar(80) not null,
  cents int not null,
  stock int not null,
  constraint stock_is_there check (stock >= 0)
);
create table orders (
  id int primary key auto_increment,
  bottle int not null,
  count int not null,
  foreign key (bottle) references bottles (id)
);
insert into bottles values (1, 'Old genever', 2500, 10), (2, 'Young genever', 1500, 0);
