// Package search is the language in which people ask for actions and row changes, in a URL, in a
// terminal or in a search field:
//
//	actor:alice target:order:42 -outcome:success after:2d "refund"
//	actor:alice table:orders -op:delete field:status new.status:paid after:2d
//
// [Parse] reads it. [Terms.Actions] makes a query for package threadline of the terms, [Terms.Changes]
// one for package changes, and [Terms.Trail] one for package trail, which finds both.
//
// Words are joined by "and". A word is key:value, or a text to be found. A minus sign
// before a word leaves out what the word finds. Quotation marks hold what has spaces, and
// a backslash takes the character after it as it is:
//
//	tenant:"Smith & Sons" "late: \"again\"" -\-5
//
// # Keys
//
//	actor        user:42, 42 (of any type), user, or unattributed
//	action       order.refunded, or order.* for a beginning; actions only
//	target       order:42, or order
//	table        orders, or shop.orders
//	tenant       the tenant's ID
//	correlation  the correlation ID
//	request      the request ID
//	outcome      success, failure or error; actions only
//	after        from this time on
//	before       before this time
//	op           insert, update, delete or truncate; row changes only
//	field        a field that changed; row changes only
//	old.status   the field status had this value before; row changes only
//	new.status   the field status has this value since; row changes only
//
// A text is looked for in an action's names, IDs, reason, comment and metadata, and in a row change's
// table, key and values; upper and lower case are the same. A page of such a search may be short: see
// [threadline.MaxLooked] and [changes.MaxLooked]. A value of a field is compared byte by byte with what
// the database prints; see [changes.Query].
//
// A key is given once, except field and those with a minus sign. There is no OR, there are
// no parentheses, and times are not negated.
//
// # Times
//
// A time is 30s, 15m, 3h, 2d or 1w before now; now, today or yesterday, which mean their
// first moment; a date, 2026-11-30; or a date and a time, 2026-11-30T10:00, with seconds
// and a zone where wanted, 2026-11-30T10:00:00Z, 2026-11-30T10:00+01:00. A day is 24 hours,
// a week seven days. Days, dates and times without a zone are in the zone of the moment
// that [Terms.Actions], [Terms.Changes] and [Terms.Trail] take as now.
//
// # Strictness
//
// A filter that is ignored shows more than was asked for. So an unknown key, a value that a key cannot
// have, and a filter that the query cannot have (of [Terms.Actions] a field, say) are each an [*Error],
// which says where it is and what was expected. What only the database knows, such as that a table was
// never captured, is an error of the page: [Terms.Explain] finds its word.
package search
