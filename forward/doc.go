// Package forward takes committed audit events to their sinks.
package forward
