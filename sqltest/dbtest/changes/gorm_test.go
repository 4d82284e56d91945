package changes_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// shelf, book and label are models with what GORM offers: associations of each kind, soft deletion, serialized fields.
type shelf struct {
	gorm.Model
	Name  string `gorm:"uniqueIndex"`
	Books []book `gorm:"constraint:OnDelete:CASCADE"`
}

type book struct {
	ID      uint
	ShelfID *uint
	Title   string
	Price   float64        `gorm:"type:numeric(8,2)"`
	Notes   map[string]any `gorm:"serializer:json"`
	Cover   []byte
	Labels  []label `gorm:"many2many:book_labels;constraint:OnDelete:CASCADE"`
}

type label struct {
	ID   uint
	Name string `gorm:"uniqueIndex"`
}

// TestGORM: what GORM does through the wrapper, replayed from the row changes, ends in what is in the tables; each change has its
// actor; and each transaction's statements have as many changes as the database has told the driver.
func TestGORM(t *testing.T) {
	eachApp(t, func(w *world, open func(forward.Options, bool) *app) {
		a := open(forward.Options{}, true)
		g, err := gorm.Open(postgres.New(postgres.Config{Conn: a.db}), &gorm.Config{Logger: logger.Discard})
		w.must(err)
		w.must(g.WithContext(user("alice")).AutoMigrate(&shelf{}, &book{}, &label{}))
		tables := []string{"shelves", "books", "labels", "book_labels"}
		for _, table := range tables {
			w.capture(capture.Table{Name: table})
		}
		r := rand.New(rand.NewPCG(dbtest.Seed(w), 3))
		failed := 0
		for range 120 {
			if gormStep(r, g.WithContext(user([]string{"alice", "bob"}[r.IntN(2)]))) != nil {
				failed++
			}
		}
		w.wantReplayed(tables...)
		timeline := threadline.NewStore(w.db, hooks.Postgres, nil)
		told := make(map[journal.TxKey]bool)
		for c, err := range w.store.Each(ctx, changes.Query{Tables: tables}) {
			w.must(err)
			if c.By.State != changes.Recorded || len(c.By.Contexts) != 1 {
				w.Errorf("the %s of %s %v is by %s", c.Op, c.Table, c.Key, c.By)
			}
			tx := journal.TxKey{ID: c.XID, StartedAt: c.TxStartedAt}
			if is := told[tx]; is || len(told)%8 > 0 {
				told[tx] = true
				continue
			}
			told[tx] = true
			story, err := timeline.Story(ctx, w.store, tx)
			w.must(err)
			for _, d := range story.Differences {
				if !d.Expected {
					w.Errorf("%d rows and %d changes: %s\n%s", d.Rows, d.Changes, d.Reason, story)
				}
			}
		}
		w.Logf("%s changes in %d transactions; %d steps failed", w.changes(), len(told), failed)
		if len(told) < 40 {
			w.Errorf("only %d transactions have changed anything", len(told))
		}
	})
}

var errTakenBack = errors.New("taken back")

// gormStep does something that may fail.
func gormStep(r *rand.Rand, g *gorm.DB) error {
	name := func() string { return "name " + strconv.Itoa(r.IntN(12)) }
	var s shelf
	var b book
	g.Offset(r.IntN(4)).Limit(1).Find(&s)
	g.Offset(r.IntN(8)).Limit(1).Find(&b)
	switch r.IntN(14) {
	case 0, 1:
		return g.Create(&shelf{Name: name(), Books: []book{
			{Title: name(), Price: 9.99, Notes: map[string]any{"a": []any{1, "b", nil}}, Labels: []label{{Name: name()}}},
			{Title: "", Cover: []byte{0, 255}},
		}}).Error
	case 2:
		return g.CreateInBatches([]book{{Title: name()}, {Title: name()}, {Title: name(), Labels: []label{{Name: name()}}}}, 2).Error
	case 3:
		s.Name += "!"
		s.Books = append(s.Books, b)
		return g.Save(&s).Error
	case 4:
		return g.Model(&b).Updates(map[string]any{"title": name(), "price": gorm.Expr("price + ?", 0.1)}).Error
	case 5:
		return g.Model(&book{}).Where("price > ?", 5).Update("price", gorm.Expr("-price")).Error
	case 6:
		return g.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "name"}}, UpdateAll: true}).Create(&[]label{{Name: name()}, {Name: "new " + name()}}).Error
	case 7:
		return g.Clauses(clause.OnConflict{DoNothing: true}).Create(&label{Name: name()}).Error
	case 8:
		return g.Where(label{Name: name()}).FirstOrCreate(&label{}).Error
	case 9:
		var labels []label
		g.Limit(2).Offset(r.IntN(4)).Find(&labels)
		if b.ID == 0 {
			return nil
		}
		return g.Model(&b).Association("Labels").Replace(labels)
	case 10:
		return g.Delete(&s).Error // sets deleted_at
	case 11:
		return errors.Join(g.Unscoped().Where("deleted_at IS NOT NULL").Delete(&shelf{}).Error, g.Delete(&book{}, b.ID).Error)
	case 12:
		return g.Transaction(func(tx *gorm.DB) error {
			nested := tx.Transaction(func(tx *gorm.DB) error {
				return errors.Join(tx.Create(&label{Name: name()}).Error, errTakenBack)
			})
			if !errors.Is(nested, errTakenBack) {
				return nested
			}
			return errors.Join(tx.Create(&book{Title: "kept"}).Error, tx.Exec("UPDATE books SET notes = '{}' WHERE title = 'kept'").Error)
		})
	default:
		return g.Transaction(func(tx *gorm.DB) error {
			tx.WithContext(context.WithoutCancel(tx.Statement.Context)).Create(&shelf{Name: "gone " + name()})
			return errTakenBack
		})
	}
}
