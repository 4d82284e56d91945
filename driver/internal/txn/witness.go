package txn

// Witness is what the driver found, where something may have ended the transaction
// unseen.
type Witness int8

// What the witness said. It is set in a transaction and lasts as long as that does.
const (
	Lost    Witness = iota // the connection does not answer
	Same                   // the same transaction, healthy
	Other                  // another transaction, or this one taken back before the witness
	Idle                   // no transaction
	Aborted                // a failed one; whether it is the same is not known
)

// SetWitness notes that a savepoint of the driver's was set as the witness.
func (r *Record) SetWitness() { r.witness = len(r.savepoints) + 1 }

// HasWitness reports whether that savepoint is still there.
func (r *Record) HasWitness() bool { return r.witness > 0 }

// Proven notes that the witness was there when it was released, or that it was not.
func (r *Record) Proven(there bool) {
	r.witness = 0
	if there {
		r.Unproven = false
	}
}

// loseWitness follows a RELEASE or ROLLBACK TO of the savepoint at an index: the
// database forgets all that were set behind it.
func (r *Record) loseWitness(savepoint int) {
	if r.witness > savepoint+1 {
		r.witness = 0
	}
}
