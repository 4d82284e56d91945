package driver

// state is where the server says that the connection is.
type state int8

const (
	stateLost state = iota
	stateIdle
	stateOpen
	stateAborted
)
