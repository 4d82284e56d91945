// Package upgrade helps to test that programs of an earlier version, built from the
// repository's history, and of this one work on the same database: one after the other, beside
// each other, and the earlier one again.
package upgrade
