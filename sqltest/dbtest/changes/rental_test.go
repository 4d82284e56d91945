package changes_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// rental is a shop that lends films, as in the sample databases of tutorials. Foreign keys of every kind link its fourteen tables. It has keys of several
// columns, types of its own, a partitioned table, and triggers that set the time at which a row was last updated.
var rental = []string{
	`CREATE TYPE rating AS ENUM ('G', 'PG', 'R')`, `CREATE DOMAIN year AS int CHECK (VALUE BETWEEN 1901 AND 2155)`,
	`CREATE FUNCTION last_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.last_update = clock_timestamp(); RETURN NEW; END $$`,
	`CREATE TABLE country (country_id serial PRIMARY KEY, country text NOT NULL UNIQUE, last_update timestamptz DEFAULT now())`,
	`CREATE TABLE city (city_id serial PRIMARY KEY, city text NOT NULL, country_id int NOT NULL REFERENCES country ON UPDATE CASCADE ON DELETE RESTRICT, last_update timestamptz DEFAULT now())`,
	`CREATE TABLE address (address_id serial PRIMARY KEY, address text NOT NULL, place point, phone text COLLATE "C", city_id int REFERENCES city ON UPDATE CASCADE ON DELETE SET NULL, last_update timestamptz DEFAULT now())`,
	`CREATE TABLE store (store_id serial PRIMARY KEY, manager_id int, address_id int NOT NULL REFERENCES address ON UPDATE CASCADE, last_update timestamptz DEFAULT now())`,
	`CREATE TABLE staff (staff_id serial PRIMARY KEY, name text, boss_id int REFERENCES staff ON DELETE SET NULL, store_id int NOT NULL REFERENCES store, picture bytea, active boolean NOT NULL DEFAULT true, last_update timestamptz DEFAULT now())`,
	`ALTER TABLE store ADD FOREIGN KEY (manager_id) REFERENCES staff DEFERRABLE INITIALLY DEFERRED`,
	`CREATE TABLE customer (customer_id serial PRIMARY KEY, store_id int NOT NULL REFERENCES store, name text NOT NULL, email text UNIQUE, address_id int NOT NULL REFERENCES address ON UPDATE CASCADE, created date NOT NULL DEFAULT '2026-01-01', settings jsonb, last_update timestamptz DEFAULT now())`,
	`CREATE TABLE language (language_id serial PRIMARY KEY, name char(20) NOT NULL, last_update timestamptz DEFAULT now())`,
	`CREATE TABLE actor (actor_id serial PRIMARY KEY, "first name" varchar(45) NOT NULL, "Last" text NOT NULL, last_update timestamptz DEFAULT now())`,
	`CREATE TABLE film (film_id serial PRIMARY KEY, title varchar(255) NOT NULL, year year, language_id int NOT NULL REFERENCES language, original_id int REFERENCES language ON DELETE SET NULL, days smallint DEFAULT 3, rate numeric(4,2) DEFAULT 4.99,
		length interval, rating rating DEFAULT 'G', features text[], fulltext tsvector, words int GENERATED ALWAYS AS (cardinality(string_to_array(title, ' '))) STORED, last_update timestamptz DEFAULT now())`,
	`CREATE FUNCTION fulltext() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.fulltext = to_tsvector('pg_catalog.english', NEW.title); RETURN NEW; END $$`,
	`CREATE TRIGGER fulltext BEFORE INSERT OR UPDATE ON film FOR EACH ROW EXECUTE FUNCTION fulltext()`,
	`CREATE TABLE film_actor (actor_id int REFERENCES actor ON UPDATE CASCADE ON DELETE CASCADE, film_id int REFERENCES film ON UPDATE CASCADE ON DELETE CASCADE, role text, last_update timestamptz DEFAULT now(), PRIMARY KEY (actor_id, film_id))`,
	`CREATE TABLE inventory (inventory_id serial PRIMARY KEY, film_id int NOT NULL REFERENCES film ON UPDATE CASCADE, store_id int NOT NULL REFERENCES store ON DELETE CASCADE, last_update timestamptz DEFAULT now())`,
	`CREATE TABLE rental (rental_id serial PRIMARY KEY, during tstzrange NOT NULL, inventory_id int NOT NULL REFERENCES inventory ON DELETE CASCADE, customer_id int NOT NULL REFERENCES customer ON DELETE CASCADE, staff_id int REFERENCES staff ON DELETE SET NULL, last_update timestamptz DEFAULT now())`,
	`CREATE TABLE payment (payment_id serial, paid_on date, customer_id int NOT NULL REFERENCES customer ON DELETE CASCADE, rental_id int REFERENCES rental ON DELETE SET NULL, amount numeric(5,2) NOT NULL, last_update timestamptz DEFAULT now(), PRIMARY KEY (payment_id, paid_on)) PARTITION BY RANGE (paid_on)`,
	`CREATE TABLE payment_2026_01 PARTITION OF payment FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')`,
	`CREATE TABLE payment_rest PARTITION OF payment DEFAULT`,
}

var rentalTables = []string{"country", "city", "address", "store", "staff", "customer", "language", "actor", "film", "film_actor", "inventory", "rental", "payment"}

var rentalRows = []string{
	`INSERT INTO country (country) SELECT 'country ' || n FROM generate_series(1, 4) n`,
	`INSERT INTO city (city, country_id) SELECT 'city ' || n, 1 + n % 4 FROM generate_series(1, 6) n`,
	`INSERT INTO address (address, place, phone, city_id) SELECT n || ' Main Street', point(n, -n / 3.0), repeat('5', n), 1 + n % 6 FROM generate_series(1, 10) n`,
	`INSERT INTO store (manager_id, address_id) VALUES (1, 1), (2, 2), (NULL, 3)`,
	`INSERT INTO staff (name, boss_id, store_id, picture) VALUES ('Mike', NULL, 1, '\x89504e47'), ('Jon', 1, 2, NULL), ('Ann', 1, 3, ''), ('Sue', 4, 1, NULL)`,
	`INSERT INTO customer (store_id, name, email, address_id, settings) SELECT 1 + n % 3, 'customer ' || n, n || '@example.com', 1 + n % 10, jsonb_build_object('n', n) FROM generate_series(1, 12) n`,
	`INSERT INTO language (name) VALUES ('English'), ('Español'), ('日本語')`,
	`INSERT INTO actor ("first name", "Last") SELECT 'Jo ' || n, 'O''Hara, "' || n FROM generate_series(1, 8) n`,
	`INSERT INTO film (title, year, language_id, original_id, length, rating, features) SELECT 'Film about the number ' || n, 1990 + n, 1 + n % 3, nullif(n % 3, 0), n * interval '7 min', (enum_range(NULL::rating))[1 + n % 3], ARRAY['Trailers', NULL, n::text] FROM generate_series(1, 10) n`,
	`INSERT INTO film_actor SELECT a, f, 'role' FROM generate_series(1, 8) a, generate_series(1, 10) f WHERE (a + f) % 3 = 0`,
	`INSERT INTO inventory (film_id, store_id) SELECT 1 + n % 10, 1 + n % 3 FROM generate_series(1, 15) n`,
	`INSERT INTO rental (during, inventory_id, customer_id, staff_id) SELECT tstzrange('2026-01-01'::timestamptz + n * interval '1 day', NULL), 1 + n % 15, 1 + n % 12, 1 + n % 4 FROM generate_series(1, 20) n`,
	`INSERT INTO payment (paid_on, customer_id, rental_id, amount) SELECT '2026-01-20'::date + n, 1 + n % 12, n, n + 0.50 FROM generate_series(1, 20) n`,
}

// rentalStatement is a statement on one of its tables, which may fail.
func rentalStatement(r *rand.Rand) string {
	n := func() string { return strconv.Itoa(r.IntN(1000)) }
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	anyOf := func(table string) string {
		return fmt.Sprintf("(SELECT %[1]s_id FROM %[1]s ORDER BY md5(concat(%[1]s_id, '%[2]s')) LIMIT 1)", table, n())
	}
	where := func(table string) string { return " WHERE " + table + "_id = " + anyOf(table) }
	switch r.IntN(24) {
	case 0:
		return "INSERT INTO country (country) VALUES ('country " + n() + "') ON CONFLICT (country) DO UPDATE SET country = excluded.country || '!'"
	case 1:
		return "UPDATE country SET country_id = " + n() + where("country")
	case 2:
		return one("DELETE FROM city"+where("city"), "UPDATE city SET city_id = "+n()+where("city"), "UPDATE city SET city = upper(city), country_id = "+anyOf("country")+where("city"))
	case 3:
		return "INSERT INTO address (address, place, city_id) VALUES ('" + n() + "', point(" + n() + ", 0.1), " + anyOf("city") + ")"
	case 4:
		return one("UPDATE address SET address_id = "+n()+where("address"), "UPDATE address SET phone = NULL, place = point(-0.0, 1e300)"+where("address"), "DELETE FROM address"+where("address"))
	case 5:
		return one("UPDATE store SET manager_id = "+anyOf("staff")+where("store"), "UPDATE store SET manager_id = NULL", "DELETE FROM store"+where("store"))
	case 6:
		return "INSERT INTO staff (name, boss_id, store_id, picture) VALUES ('" + n() + "', currval('staff_staff_id_seq'), " + anyOf("store") + ", decode(md5('" + n() + "'), 'hex'))"
	case 7:
		return one("DELETE FROM staff"+where("staff"), "UPDATE staff SET boss_id = staff_id, active = NOT active"+where("staff"), "UPDATE staff SET boss_id = "+anyOf("staff")+where("staff"))
	case 8:
		return "INSERT INTO customer (store_id, name, email, address_id) VALUES (" + anyOf("store") + ", 'x', '" + n() + "@example.com', " + anyOf("address") + ")"
	case 9:
		return one("DELETE FROM customer"+where("customer"), `UPDATE customer SET settings = settings || '{"x": [1, 2.50, null]}', email = nullif(email, '3@example.com')`, "UPDATE customer SET store_id = "+anyOf("store")+where("customer"))
	case 10:
		return one("INSERT INTO language (name) VALUES ('"+n()+"')", "DELETE FROM language"+where("language"), "UPDATE language SET name = ''"+where("language"))
	case 11:
		return one(`INSERT INTO actor ("first name", "Last") VALUES ('', '`+n()+`')`, "UPDATE actor SET actor_id = "+n()+where("actor"), "DELETE FROM actor"+where("actor"), `UPDATE actor SET "Last" = "first name", "first name" = "Last"`)
	case 12:
		return "INSERT INTO film (title, language_id, features) VALUES ('the film " + n() + "', " + anyOf("language") + ", '{}')"
	case 13, 14:
		return one("UPDATE film SET rate = rate + 0.10, title = title || ' again', rating = 'R'"+where("film"), "UPDATE film SET film_id = "+n()+where("film"), "DELETE FROM film"+where("film"), "UPDATE film SET features[2] = 'x', length = length * 1.5", "UPDATE film SET original_id = language_id, language_id = "+anyOf("language")+where("film"))
	case 15:
		return "INSERT INTO film_actor (actor_id, film_id) VALUES (" + anyOf("actor") + ", " + anyOf("film") + ") ON CONFLICT DO NOTHING"
	case 16:
		return one("UPDATE film_actor SET actor_id = "+anyOf("actor")+" WHERE film_id = "+anyOf("film")+" AND actor_id = "+anyOf("actor"), "DELETE FROM film_actor WHERE film_id = "+anyOf("film"))
	case 17:
		return "INSERT INTO inventory (film_id, store_id) VALUES (" + anyOf("film") + ", " + anyOf("store") + ")"
	case 18:
		return one("DELETE FROM inventory"+where("inventory"), "UPDATE inventory SET store_id = "+anyOf("store")+where("inventory"))
	case 19:
		return "INSERT INTO rental (during, inventory_id, customer_id) VALUES ('[2026-03-01,)', " + anyOf("inventory") + ", " + anyOf("customer") + ")"
	case 20:
		return one("UPDATE rental SET during = tstzrange(lower(during), lower(during) + interval '3 days 04:05:06.7')"+where("rental"), "DELETE FROM rental"+where("rental"))
	case 21:
		return "INSERT INTO payment (paid_on, customer_id, rental_id, amount) VALUES (" + one("'2026-01-05'", "'2026-05-05'") + ", " + anyOf("customer") + ", " + anyOf("rental") + ", " + n() + ")"
	default:
		return one("UPDATE payment SET paid_on = paid_on + 9"+where("payment"), "UPDATE payment SET amount = amount - 1", "DELETE FROM payment"+where("payment"), "WITH d AS (DELETE FROM payment"+where("payment")+" RETURNING *) INSERT INTO payment SELECT * FROM d")
	}
}

// TestRental: what sessions do to all tables of a schema with direct SQL, replayed from the changes alone, ends in what is in the
// tables; and the undo of all transactions leads to the empty beginning.
func TestRental(t *testing.T) {
	onPQ(t, func(w *world) {
		seed := dbtest.Seed(w)
		w.exec(rental...)
		for _, table := range rentalTables {
			w.exec("CREATE TRIGGER last_update BEFORE UPDATE ON " + table + " FOR EACH ROW EXECUTE FUNCTION last_update()")
			w.capture(capture.Table{Name: table})
		}
		type step struct {
			xid       int64
			startedAt time.Time
			before    string
		}
		var steps []step
		do := func(f func()) {
			before, count := w.content(rentalTables...), w.changes()
			f()
			if w.changes() != count {
				xid, startedAt := w.last()
				steps = append(steps, step{xid, startedAt, before})
			}
		}
		do(func() { w.inOne(rentalRows...) })
		r := rand.New(rand.NewPCG(seed, 1))
		for range 60 {
			do(func() { w.transaction(r, rentalStatement) })
		}
		w.wantReplayed(rentalTables...)
		for _, table := range rentalTables { // they would fire again
			w.exec("ALTER TABLE " + table + " DISABLE TRIGGER last_update")
		}
		w.exec("ALTER TABLE film DISABLE TRIGGER fulltext")
		for _, s := range slices.Backward(steps) {
			u, err := undo.Transaction(ctx, w.store, s.xid, s.startedAt)
			w.must(err)
			if len(u.Conflicts)+len(u.Refusals) > 0 {
				w.Fatalf("the undo is not clean:\n%s", u)
			}
			if err := w.run(u); err != nil {
				w.Fatalf("%v\n%s", err, u)
			}
			if got := w.content(rentalTables...); got != s.before {
				w.Fatalf("the undo leads to\n%s\nand not to\n%s\n%s", got, s.before, u)
			}
		}
		w.Logf("%d transactions were undone", len(steps))
		for _, table := range rentalTables {
			w.exec("ALTER TABLE " + table + " ENABLE TRIGGER last_update")
			w.exec("SELECT setval(pg_get_serial_sequence('" + table + "', '" + table + "_id'), 1, false) FROM pg_attribute WHERE attrelid = '" + table + "'::regclass AND attname = '" + table + "_id'")
		}
		w.inOne(rentalRows...)
		var group sync.WaitGroup
		for session := range 3 {
			r := rand.New(rand.NewPCG(seed, uint64(2+session)))
			group.Go(func() {
				for range 40 {
					w.transaction(r, rentalStatement)
				}
			})
		}
		group.Wait()
		w.wantReplayed(rentalTables...)
		if n := w.text("SELECT count(*) FROM threadline.audit_gaps"); n != "0" {
			w.Errorf("%s gaps", n)
		}
	})
}
