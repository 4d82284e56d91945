package pocketbase_test

const password = "quite a secret"

// step is a request.
type step struct {
	as, method, path string
	body             any
	status           int
}

const signedIn = `@request.auth.id != ""`

// rules let whoever is signed in do everything.
func rules(collection object) object {
	for _, rule := range []string{"listRule", "viewRule", "createRule", "updateRule", "deleteRule"} {
		collection[rule] = signedIn
	}
	return collection
}

func field(id, name, kind string, more ...any) object {
	f := object{"id": id, "name": name, "type": kind}
	for i := 0; i < len(more); i += 2 {
		f[more[i].(string)] = more[i+1]
	}
	return f
}

func user(id string) object {
	return object{"id": id + "00000000000", "email": id + "@example.com", "password": password, "passwordConfirm": password}
}

func login(as, collection string) step {
	return step{"", "POST", "/collections/" + collection + "/auth-with-password", object{"identity": as + "@example.com", "password": password}, 200}
}

var (
	created  = field("created", "created", "autodate", "onCreate", true)
	updated  = field("updated", "updated", "autodate", "onCreate", true, "onUpdate", true)
	name     = field("name", "name", "text", "required", true)
	title    = field("title", "title", "text", "required", true)
	note     = field("note", "note", "editor")
	pages    = field("pages", "pages", "number")
	meta     = field("meta", "meta", "json")
	kind     = field("kind", "kind", "select", "values", []string{"novel", "essay", "poem"}, "maxSelect", 1)
	kinds    = field("kind", "kind", "select", "values", []string{"novel", "essay", "poem"}, "maxSelect", 3)
	author   = field("author", "author", "relation", "collectionId", "pbc_authors0000", "cascadeDelete", true, "maxSelect", 1)
	coauthor = field("others", "others", "relation", "collectionId", "pbc_authors0000", "maxSelect", 9)
	book     = field("book", "book", "relation", "collectionId", "pbc_books000000", "cascadeDelete", true, "maxSelect", 1)
	stars    = field("stars", "stars", "number")
)

func record(id string, values object) object {
	values["id"] = id + "000000000000000"[len(id):]
	return values
}

// inBatch is a request of a batch.
func inBatch(method, path string, body object) object {
	return object{"method": method, "url": "/api" + path, "body": body}
}

func fields(list ...object) object { return object{"fields": list} }

// schemaSteps make the collections.
func schemaSteps() []step {
	return []step{
		{"root", "PATCH", "/settings", object{"batch": object{"enabled": true, "maxRequests": 10, "timeout": 180}}, 200},
		{"root", "POST", "/collections", rules(object{
			"id": "pbc_authors0000", "name": "authors", "type": "base", "fields": []object{name, created, updated},
			"indexes": []string{"CREATE UNIQUE INDEX authors_name ON authors (name COLLATE NOCASE)"},
		}), 200},
		{"root", "POST", "/collections", rules(object{
			"id": "pbc_books000000", "name": "books", "type": "base", "fields": []object{title, note, pages, meta, kind, author, coauthor, created, updated},
			"indexes": []string{"CREATE UNIQUE INDEX books_title ON books (title, author)", "CREATE INDEX books_pages ON books (pages) WHERE pages > 0"},
		}), 200},
		{"root", "POST", "/collections", rules(object{"id": "pbc_reviews0000", "name": "reviews", "type": "base", "fields": []object{stars, book}}), 200},
		{"root", "POST", "/collections", rules(object{"id": "pbc_members0000", "name": "members", "type": "auth", "fields": []object{name}}), 200},
		{"root", "POST", "/collections", object{"id": "pbc_titles00000", "name": "titles", "type": "view", "viewQuery": "SELECT b.id, b.title, b.kind, a.name FROM books b JOIN authors a ON a.id = b.author"}, 200},
		{"root", "POST", "/collections", object{"name": "wrong", "type": "base", "fields": []object{name}, "indexes": []string{"CREATE INDEX x ON wrong (nothing)"}}, 400},
		{"root", "POST", "/collections", object{"name": "wrong", "type": "view", "viewQuery": "SELECT id FROM nothing"}, 400},
		{"", "POST", "/collections/users/records", user("adaa"), 200},
		{"root", "POST", "/collections/members/records", record("memb", object{"name": "M", "email": "memb@example.com", "password": password, "passwordConfirm": password}), 200},
		login("adaa", "users"),
		login("memb", "members"),
	}
}

// recordSteps write records in all ways.
func recordSteps() []step {
	const authors, books, reviews = "/collections/authors/records", "/collections/books/records", "/collections/reviews/records"
	return []step{
		{"adaa", "POST", authors, record("woolf", object{"name": "Woolf"}), 200},
		{"adaa", "POST", authors, record("sachs", object{"name": "Sachs"}), 200},
		{"memb", "POST", authors, record("again", object{"name": "WOOLF"}), 400},
		{"", "POST", authors, record("nobody", object{"name": "Nobody"}), 400},
		{"adaa", "POST", books, record("waves", object{"title": "The Waves", "kind": "novel", "author": "woolf0000000000", "pages": 324, "meta": object{"a": []any{1, 2.5, nil, "x'y"}}}), 200},
		{"memb", "POST", books, record("orlan", object{"title": "Orlando", "note": "<p>\u00e9\u2028\U0001f642</p>", "kind": "novel", "author": "woolf0000000000", "others": []string{"sachs0000000000"}, "pages": 0.1}), 200},
		{"memb", "POST", books, record("ghost", object{"title": "Nothing", "author": "nobody000000000"}), 400},
		{"memb", "PATCH", books + "/waves0000000000", object{"pages+": 3, "others+": "sachs0000000000"}, 200},
		{"memb", "PATCH", books + "/waves0000000000", object{}, 200},
		{"adaa", "PATCH", books + "/nothing00000000", object{"pages": 3}, 404},
		{"adaa", "POST", reviews, record("first", object{"stars": 5, "book": "waves0000000000"}), 200},
		{"adaa", "POST", reviews, record("other", object{"stars": -1, "book": "orlan0000000000"}), 200},
		{"adaa", "POST", "/batch", object{"requests": []object{
			inBatch("POST", authors, record("batch", object{"name": "In a batch"})),
			inBatch("POST", books, record("inone", object{"title": "In one", "author": "batch0000000000", "kind": "poem"})),
			inBatch("PUT", reviews, record("first", object{"stars": 4})),
			inBatch("PATCH", books+"/orlan0000000000", object{"title": "Orlando: A Biography"}),
			inBatch("DELETE", reviews+"/other0000000000", nil),
		}}, 200},
		{"memb", "POST", "/batch", object{"requests": []object{
			inBatch("POST", authors, record("undone", object{"name": "Undone"})),
			inBatch("DELETE", reviews+"/first0000000000", nil),
			inBatch("POST", authors, record("undon", object{"name": "woolf"})),
		}}, 400},
		{"memb", "PATCH", "/collections/members/records/memb00000000000", object{"name": "Member"}, 200},
		{"adaa", "POST", "/collections/users/auth-refresh", nil, 200},
		{"root", "PATCH", "/collections/users/records/adaa00000000000", object{"verified": true}, 200},
		{"adaa", "DELETE", authors + "/woolf0000000000", nil, 204}, // with books and their reviews
		{"adaa", "DELETE", authors + "/woolf0000000000", nil, 404},
		{"adaa", "GET", "/collections/books/records?expand=author", nil, 200},
		{"root", "GET", "/collections/titles/records", nil, 200},
	}
}

// changeSteps change the collections while they have records.
func changeSteps() []step {
	const books, authors = "/collections/books", "/collections/authors"
	isbn := field("isbn", "isbn", "text")
	return []step{
		{"root", "PATCH", books, fields(title, note, pages, meta, kind, author, coauthor, isbn, created, updated), 200},
		{"adaa", "PATCH", books + "/records/inone0000000000", object{"isbn": "978-3"}, 200},
		// title and note have each other's name, and isbn has another.
		{"root", "PATCH", books, object{"fields": []object{field("title", "note", "text"), field("note", "title", "editor"), pages, meta, kind, author, coauthor, field("isbn", "number", "text"), created, updated}, "indexes": []string{}}, 200},
		{"adaa", "PATCH", books + "/records/inone0000000000", object{"title": "A title", "number": "979"}, 200},
		{"root", "PATCH", books, fields(title, note, pages, meta, kind, author, coauthor, created, updated), 200}, // without isbn
		{"adaa", "PATCH", books + "/records/inone0000000000", object{"title": "In one again"}, 200},
		{"root", "PATCH", books, fields(title, note, pages, meta, kinds, author, coauthor, created, updated), 200}, // kind has many values
		{"adaa", "PATCH", books + "/records/inone0000000000", object{"kind": []string{"novel", "poem"}}, 200},
		{"adaa", "POST", books + "/records", record("twice", object{"title": "In one again", "author": "sachs0000000000", "kind": []string{}}), 200},
		{"root", "PATCH", books, object{"indexes": []string{"CREATE UNIQUE INDEX books_title ON books (title)"}}, 400}, // two have one
		{"adaa", "PATCH", books + "/records/twice0000000000", object{"title": "Once"}, 200},
		{"root", "PATCH", books, object{"indexes": []string{"CREATE UNIQUE INDEX books_title ON books (title)"}}, 200},
		{"adaa", "POST", books + "/records", record("third", object{"title": "Once", "author": "sachs0000000000"}), 400},
		{"root", "PATCH", books, fields(title, note, pages, meta, kind, author, coauthor, created, updated), 200}, // and one again
		{"root", "PATCH", books, object{"name": "works"}, 200},
		{"adaa", "PATCH", "/collections/works/records/twice0000000000", object{"pages": 7}, 200},
		{"root", "PUT", "/collections/import", object{"collections": []object{
			rules(object{"id": "pbc_shelves0000", "name": "shelves", "type": "base", "fields": []object{name, field("works", "works", "relation", "collectionId", "pbc_books000000", "maxSelect", 5)}}),
			rules(object{"id": "pbc_authors0000", "name": "authors", "type": "base", "fields": []object{name, field("born", "born", "date"), created, updated}}),
		}}, 204},
		{"memb", "POST", "/collections/shelves/records", record("upper", object{"name": "Upper", "works": []string{"twice0000000000", "inone0000000000"}}), 200},
		{"memb", "PATCH", authors + "/records/sachs0000000000", object{"born": "1891-12-10 00:00:00.000Z"}, 200},
		{"memb", "DELETE", "/collections/works/records/twice0000000000", nil, 204}, // takes it out of the shelf
		{"root", "DELETE", "/collections/reviews/truncate", nil, 204},
		{"root", "DELETE", "/collections/titles", nil, 204},
		{"root", "DELETE", "/collections/reviews", nil, 204},
		{"root", "DELETE", authors, nil, 400}, // works refers to it
		{"root", "POST", "/collections", rules(object{"id": "pbc_reviewsagai", "name": "reviews", "type": "base", "fields": []object{field("text", "text", "text")}}), 200},
		{"memb", "POST", "/collections/reviews/records", record("anew", object{"text": "x"}), 200},
	}
}

// lastSteps are undone at the end.
func lastSteps() []step {
	const authors, works, shelves = "/collections/authors/records", "/collections/works/records", "/collections/shelves/records"
	return []step{
		{"adaa", "POST", authors, record("kafka", object{"name": "Kafka", "born": "1883-07-03 00:00:00.000Z"}), 200},
		{"adaa", "POST", works, record("trial", object{"title": "The Trial", "author": "kafka0000000000", "kind": "novel", "meta": object{"b": true}}), 200},
		{"memb", "POST", shelves, record("lower", object{"name": "Lower", "works": []string{"trial0000000000", "inone0000000000"}}), 200},
		{"adaa", "POST", "/batch", object{"requests": []object{
			inBatch("PUT", authors, record("kafka", object{"name": "Franz Kafka"})),
			inBatch("POST", works, record("castl", object{"title": "The Castle", "author": "kafka0000000000"})),
			inBatch("PATCH", works+"/trial0000000000", object{"title": "The Castle II", "pages": 0.1}),
			inBatch("DELETE", works+"/castl0000000000", nil),
			inBatch("PATCH", works+"/trial0000000000", object{"title": "The Castle"}),
		}}, 200},
		{"root", "PATCH", "/collections/users/records/adaa00000000000", object{"name": "Ada"}, 200},
		{"adaa", "DELETE", authors + "/kafka0000000000", nil, 204}, // with its works, which leave a shelf
		{"memb", "DELETE", "/collections/members/records/memb00000000000", nil, 204},
	}
}
