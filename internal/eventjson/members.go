package eventjson

import "strings"

// maxMembers is how many members an object of an event may have that this version does not
// know. Later versions may have more members than this one.
const maxMembers = 1000

// memberSet counts the members of an object by name.
type memberSet struct {
	once, again uint32         // bits of those in members
	others      map[string]int // how often each of the others was there
}

// member is a name that an event's objects have.
type member struct {
	name string
	bit  uint32
}

// members are by name, so that no known name is allocated. A bit of memberSet's is for each of
// them, so there can be 32.
var members = func() map[string]member {
	m := make(map[string]member)
	for name := range strings.FieldsSeq("id occurred_at action outcome actor target type name on_behalf_of tenant_id request_id correlation_id causation_id job_id" +
		" trace_parent ip_address user_agent reason comment metadata application host captured") {
		m[name] = member{name, 1 << len(m)}
	}
	return m
}()

// add counts the member whose name is literal. times is how often it has been there: 1, 2, or
// 3 for more. Beyond maxMembers it counts no more names that are not known, and reports that the
// set is full.
func (s *memberSet) add(literal []byte) (name string, times int, full bool) {
	m, known := members[string(literal[1:len(literal)-1])]
	if !known {
		name, _ = unquote(literal)
		if m, known = members[name]; !known { // without escapes
			times, full = s.addOther(name)
			return name, times, full
		}
	}
	switch {
	case s.once&m.bit == 0:
		s.once |= m.bit
		return m.name, 1, false
	case s.again&m.bit == 0:
		s.again |= m.bit
		return m.name, 2, false
	}
	return m.name, 3, false
}

func (s *memberSet) addOther(name string) (times int, full bool) {
	times = s.others[name] + 1
	if times == 1 && len(s.others) == maxMembers {
		return times, true
	}
	if s.others == nil {
		s.others = make(map[string]int)
	}
	s.others[name] = min(times, 2)
	return times, false
}

// label is what notes call a member.
func label(name string) string {
	if _, known := members[name]; known {
		return name
	}
	return excerpt(name)
}
