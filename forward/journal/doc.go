// Package journal keeps audit events in the app's own database.
package journal
