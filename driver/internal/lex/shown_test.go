package lex

import "testing"

func TestParseShown(t *testing.T) {
	const innodb = ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
	table := Shown{Type: "int", Engine: "innodb"}
	alone := Shown{Type: "int", Engine: "innodb", Alone: true}
	for _, c := range []struct {
		dialect Dialect
		text    string
		want    Shown
	}{
		{MySQL, "CREATE TABLE `t` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n  `v` int(11),\n  PRIMARY KEY (`id`)\n" + innodb, alone},
		{MySQL, "CREATE TABLE `t` (\n  `ID` int NOT NULL,\n  PRIMARY KEY (`Id` DESC) USING BTREE\n" + innodb, alone},
		{MySQL, "CREATE TABLE `t` (\n  `a` int,\n  `id` int,\n  PRIMARY KEY (`a`),\n  UNIQUE KEY `u` (`id`)\n" + innodb, alone},
		{MySQL, "CREATE TABLE `t` (\n  `id` int,\n  UNIQUE KEY `u` (`id`) /*!80000 INVISIBLE */\n" + innodb + "\n/*!50100 PARTITION BY HASH (`id`) */", alone},
		{MySQL, "CREATE TABLE `t` (\n  `id` int,\n  `a` int\n" + innodb, table},
		{MySQL, "CREATE TABLE `t` (\n  `id` int,\n  `a` int,\n  PRIMARY KEY (`id`,`a`),\n  UNIQUE KEY `x` (`a`,`id`),\n  KEY `id` (`id`)\n" + innodb, table},
		{MySQL, "CREATE TABLE `t` (\n  `id` int,\n  UNIQUE KEY `u` ((lower(`id`))),\n  UNIQUE KEY `id` (`id`(7))\n" + innodb, table},
		{MySQL, "CREATE TABLE `t` (\n  `id` int,\n  `f` date, `e` date, PERIOD FOR `p` (`f`, `e`),\n  UNIQUE KEY `u` (`id`,`p` WITHOUT OVERLAPS)\n" + innodb, table},
		{MySQL, "CREATE TABLE `t` (\n  `id` int COMMENT 'it''s \\' ,\n  PRIMARY KEY (`id`)',\n  `a` int\n" + innodb, table},
		{mysqlPlain, "CREATE TABLE `t` (\n  `id` int COMMENT '\\',\n  PRIMARY KEY (`id`)\n" + innodb, alone},
		{mysqlNames, "CREATE TABLE \"t\" (\n  \"id\" int,\n  PRIMARY KEY (\"id\")\n" + innodb, alone},
		{MySQL, "CREATE TABLE `t` (\n  `n` int,\n  `id` int GENERATED ALWAYS AS (`n` + 1) STORED,\n  UNIQUE KEY `id` (`id`)\n" + innodb, Shown{Type: "int", Engine: "innodb", Alone: true, Generated: true}},
		{MySQL, "CREATE TABLE `t` (\n  `id` int,\n  `n` int GENERATED ALWAYS AS (`id` + 1) VIRTUAL,\n  PRIMARY KEY (`id`)\n" + innodb, alone},
		{MySQL, "CREATE TABLE t (\n  id int,\n  PRIMARY KEY (id)\n" + innodb, Shown{Engine: "innodb"}},
		{MySQL, "CREATE TEMPORARY TABLE `t` (\n  `id` varchar(36),\n  PRIMARY KEY (`id`)\n) ENGINE=MEMORY", Shown{Temporary: true, Type: "varchar", Alone: true, Engine: "memory"}},
		{MySQL, "CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW `v` AS select `t`.`id` AS `id` from `t`", Shown{View: true}},
		{MySQL, "CREATE TABLE `t` (\n  `id` int,\n  PRIMARY KEY (`id`", Shown{Type: "int"}},
		{MySQL, "", Shown{View: true}},
	} {
		if got := ParseShown(c.dialect, c.text, "id"); got != c.want {
			t.Errorf("%s\ngives %+v, want %+v", c.text, got, c.want)
		}
	}
}
