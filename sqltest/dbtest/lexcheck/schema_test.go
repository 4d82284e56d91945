package lexcheck

// schemaFact says what the more usual kinds of schema statement are about; of the
// others only that they are schema.
func schemaFact(name string, n tree) fact {
	f := fact{Kind: "schema"}
	switch name {
	case "CreateStmt", "AlterTableStmt", "AlterOwnerStmt", "AlterObjectSchemaStmt":
		f.is(n.at("relation"))
	case "RenameStmt":
		f.renames(n)
	case "ViewStmt":
		f.is(n.at("view"))
	case "CreateForeignTableStmt":
		f.is(n.at("base", "relation"))
	case "CreateSeqStmt", "AlterSeqStmt":
		f.is(n.at("sequence"))
	case "CompositeTypeStmt":
		f.is(n.at("typevar"))
	case "CreateTableAsStmt":
		f.is(n.at("into", "rel"))
		if n.at("query", "ExecuteStmt").there() {
			f.Partial = true
		} else if n.at("objtype").text() == "OBJECT_TABLE" { // the server refuses a view that writes
			f.holdAll(n.at("query", "SelectStmt"))
		}
	case "IndexStmt":
		f.On = relation(n.at("relation"))
		f.isCalled(n.at("idxname"))
	case "CreateTrigStmt":
		f.On = relation(n.at("relation"))
		f.isCalled(n.at("trigname"))
	case "RuleStmt":
		f.On = relation(n.at("relation"))
		f.isCalled(n.at("rulename"))
	case "CreatePolicyStmt", "AlterPolicyStmt":
		f.On = relation(n.at("table"))
		f.isCalled(n.at("policy_name"))
	case "CreateFunctionStmt":
		f.isNamed(n.at("funcname").list())
	case "CreateEnumStmt", "CreateRangeStmt":
		f.isNamed(n.at("typeName").list())
	case "CreateDomainStmt":
		f.isNamed(n.at("domainname").list())
	case "CreateSchemaStmt":
		f.isCalled(n.at("schemaname"))
	case "CreateExtensionStmt":
		f.isCalled(n.at("extname"))
	case "CreateRoleStmt":
		f.isCalled(n.at("role"))
	case "DropStmt":
		f.drops(n)
	case "GrantStmt":
		if n.at("objtype").text() == "OBJECT_TABLE" && n.at("targtype").text() == "ACL_TARGET_OBJECT" {
			f.is(n.at("objects").list()[0].at("RangeVar"))
			f.Temporary = false
		}
	case "CommentStmt":
		if n.at("objtype").text() == "OBJECT_TABLE" {
			f.isNamed(n.at("object", "List", "items").list())
			f.Temporary = false
		}
	}
	return f
}

// is says which relation the statement is about.
func (f *fact) is(rel tree) {
	if rel.there() {
		f.Tables = append(f.Tables, *relation(rel))
		f.Temporary = f.Temporary || temporary(rel)
	}
}

// isNamed is the same for a name in parts.
func (f *fact) isNamed(parts []tree) {
	var t [2]string
	for _, p := range parts {
		t[0], t[1] = t[1], p.at("String", "sval").text()
	}
	f.Tables = append(f.Tables, t)
	f.Temporary = f.Temporary || t[0] == "pg_temp"
}

func (f *fact) isCalled(name tree) {
	if name.there() {
		f.Tables = append(f.Tables, [2]string{"", name.text()})
	}
}

func (f *fact) renames(n tree) {
	switch n.at("renameType").text() {
	case "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY":
		f.On = relation(n.at("relation"))
		f.isCalled(n.at("subname"))
	default:
		f.is(n.at("relation"))
	}
}

func (f *fact) drops(n tree) {
	switch n.at("removeType").text() {
	case "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_INDEX", "OBJECT_SEQUENCE", "OBJECT_FOREIGN_TABLE":
		for _, o := range n.at("objects").list() {
			f.isNamed(o.at("List", "items").list())
		}
	case "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY":
		parts := n.at("objects").list()[0].at("List", "items").list()
		var on fact
		on.isNamed(parts[:len(parts)-1])
		f.On = &on.Tables[0]
		f.isNamed(parts[len(parts)-1:])
	case "OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE":
		f.isNamed(n.at("objects").list()[0].at("ObjectWithArgs", "objname").list())
	case "OBJECT_TYPE", "OBJECT_DOMAIN":
		f.isNamed(n.at("objects").list()[0].at("TypeName", "names").list())
		f.Tables = f.Tables[:1]
	}
}

func temporary(rel tree) bool {
	return rel.at("relpersistence").text() == "t" || rel.at("schemaname").text() == "pg_temp"
}
