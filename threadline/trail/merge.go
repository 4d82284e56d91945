package trail

import "time"

// part is what a page has of one kind, newest first. items, ends and times have the same length.
type part struct {
	items []Item
	ends  []*place    // behind each item
	times []time.Time // by which the two parts are merged
	// rest is the place behind all that was looked at, nil if there is nothing more; restTime is its time.
	rest     *place
	restTime time.Time
}

func (p *part) add(item Item, end *place) {
	p.items, p.ends, p.times = append(p.items, item), append(p.ends, end), append(p.times, end.at.Time())
}

// end sets rest to the place of the next page's cursor, if there is one.
func (p *part) end(next string, above time.Time) (err error) {
	if next == "" {
		return nil
	}
	if p.rest, err = placeOf(next, above); err == nil {
		p.restTime = p.rest.at.Time()
	}
	return err
}

// level gives all of the part one time, so that merge puts a transaction's actions before its row changes.
func (p *part) level(t time.Time) {
	for i := range p.times {
		p.times[i] = t
	}
	p.restTime = t
}

// placed is an item, and the place behind it. No two items have the same.
type placed struct {
	Item
	end *place
}

// merge returns the first limit items of both kinds, newest first, and where they end, nil if there is nothing more. It
// stops where one of the parts has looked no further, since what follows there is not known. Actions come before the row
// changes of the same time.
func merge(actions, rows *part, limit int) (items []placed, end *place) {
	a, c := 0, 0
	for len(items) < limit {
		// Of each kind the next item, or the place behind which the part has not looked.
		nextAction, isAction, anyAction := actions.at(a)
		nextChange, isChange, anyChange := rows.at(c)
		switch {
		case !anyAction && !anyChange:
			return items, nil
		case anyAction && (!anyChange || !nextAction.Before(nextChange)):
			if !isAction {
				return items, actions.rest
			}
			end = actions.ends[a]
			items = append(items, placed{actions.items[a], end})
			a++
		default:
			if !isChange {
				return items, rows.rest
			}
			end = rows.ends[c]
			items = append(items, placed{rows.items[c], end})
			c++
		}
	}
	if _, _, more := actions.at(a); more {
		return items, end
	}
	if _, _, more := rows.at(c); more {
		return items, end
	}
	return items, nil
}

// at is the time of the i-th item, or of the place behind all of them.
func (p *part) at(i int) (t time.Time, isItem, any bool) {
	switch {
	case i < len(p.items):
		return p.times[i], true, true
	case p.rest != nil:
		return p.restTime, false, true
	}
	return time.Time{}, false, false
}
