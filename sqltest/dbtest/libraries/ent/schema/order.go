// Package schema says what ent generates.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Order is the one entity.
type Order struct {
	ent.Schema
}

// Fields of an order, beside its id.
func (Order) Fields() []ent.Field {
	return []ent.Field{field.String("note")}
}
