package export

import (
	"cmp"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// OCSFVersion is the version of the schema that [OCSF] follows.
const OCSFVersion = "1.4.0"

// OCSF is an event of the Open Cybersecurity Schema Framework on each line: API Activity (class 6003) for an action, and Entity
// Management (3004) for a row change. The severity is always 1, informational: nothing here judges what was done. Times are
// in milliseconds, as the schema wants; metadata.original_time has the microseconds. The member unmapped has the whole item, in
// the form of [NDJSON].
func OCSF() Format { return ocsf{} }

type ocsf struct{}

func (ocsf) Name() string      { return "ocsf" }
func (ocsf) Version() int      { return 1 }
func (ocsf) Extension() string { return ".ocsf.ndjson" }

// CountRows implements [RowCounter].
func (ocsf) CountRows(r io.Reader) (int64, error) { return countLines(r, false) }

func (ocsf) Begin(w io.Writer) (Encoder, error) { return &lines{w: w, of: ocsfOf}, nil }

// The parts of an event, by the names of the schema.
type (
	ocsfEvent struct {
		ActivityID   int             `json:"activity_id"`
		ActivityName string          `json:"activity_name"`
		CategoryUID  int             `json:"category_uid"`
		CategoryName string          `json:"category_name"`
		ClassUID     int             `json:"class_uid"`
		ClassName    string          `json:"class_name"`
		TypeUID      int             `json:"type_uid"`
		TypeName     string          `json:"type_name"`
		Time         int64           `json:"time"` // milliseconds since 1970
		SeverityID   int             `json:"severity_id"`
		Severity     string          `json:"severity"`
		StatusID     int             `json:"status_id,omitempty"`
		Status       string          `json:"status,omitempty"`
		Message      string          `json:"message"`
		Comment      string          `json:"comment,omitempty"`
		Metadata     ocsfMetadata    `json:"metadata"`
		Actor        ocsfActor       `json:"actor"`
		API          *ocsfAPI        `json:"api,omitempty"`
		Source       *ocsfEndpoint   `json:"src_endpoint,omitempty"`
		Request      *ocsfRequest    `json:"http_request,omitempty"`
		Resources    []ocsfResource  `json:"resources,omitempty"`
		Entity       *ocsfEntity     `json:"entity,omitempty"`
		EntityResult *ocsfEntity     `json:"entity_result,omitempty"`
		Unmapped     json.RawMessage `json:"unmapped"`
	}
	ocsfMetadata struct {
		Version        string      `json:"version"`
		Product        ocsfProduct `json:"product"`
		UID            string      `json:"uid"`
		CorrelationUID string      `json:"correlation_uid,omitempty"`
		TenantUID      string      `json:"tenant_uid,omitempty"`
		LogName        string      `json:"log_name"`
		OriginalTime   string      `json:"original_time"`
		LoggedTime     int64       `json:"logged_time"`
	}
	ocsfProduct struct {
		Name       string `json:"name"`
		VendorName string `json:"vendor_name"`
	}
	ocsfActor struct {
		User    *ocsfUser `json:"user,omitempty"`
		AppName string    `json:"app_name,omitempty"`
	}
	ocsfUser struct {
		UID    string `json:"uid,omitempty"`
		Name   string `json:"name,omitempty"`
		TypeID int    `json:"type_id"`
		Type   string `json:"type"`
	}
	ocsfAPI struct {
		Operation string          `json:"operation"`
		Service   *ocsfService    `json:"service,omitempty"`
		Request   *ocsfAPIRequest `json:"request,omitempty"`
	}
	ocsfService struct {
		Name string `json:"name"`
	}
	ocsfAPIRequest struct {
		UID string `json:"uid"`
	}
	ocsfEndpoint struct {
		IP      string `json:"ip,omitempty"`
		Name    string `json:"name,omitempty"`
		SvcName string `json:"svc_name,omitempty"`
	}
	ocsfRequest struct {
		UserAgent string `json:"user_agent"`
	}
	ocsfResource struct {
		UID  string `json:"uid,omitempty"`
		Type string `json:"type,omitempty"`
		Name string `json:"name,omitempty"`
	}
	ocsfEntity struct {
		UID  string            `json:"uid,omitempty"`
		Name string            `json:"name"`
		Type string            `json:"type"`
		Data map[string]string `json:"data,omitempty"`
	}
)

// The activities of both classes.
const (
	ocsfCreate = 1
	ocsfRead   = 2
	ocsfUpdate = 3
	ocsfDelete = 4
	ocsfOther  = 99
)

var ocsfActivities = map[int]string{ocsfCreate: "Create", ocsfRead: "Read", ocsfUpdate: "Update", ocsfDelete: "Delete"}

func ocsfOf(e Entry) (any, error) {
	item, err := json.Marshal(e.Item)
	if err != nil {
		return nil, err
	}
	o := &ocsfEvent{SeverityID: 1, Severity: "Informational", Message: e.String(), Unmapped: item}
	o.Metadata = ocsfMetadata{
		Version: OCSFVersion, Product: ocsfProduct{"aftercommit", "go-aftercommit"}, UID: e.ID.String(), LogName: "threadline",
		LoggedTime: e.Time().UnixMilli(),
	}
	if e.Action != nil {
		o.action(e.Action)
	} else {
		o.change(e.Change)
	}
	return o, nil
}

// classify sets the class, the activity and the time.
func (o *ocsfEvent) classify(category, class int, categoryName, className string, activity int, name string, at time.Time) {
	o.CategoryUID, o.CategoryName, o.ClassUID, o.ClassName = category, categoryName, class, className
	o.ActivityID, o.ActivityName = activity, cmp.Or(ocsfActivities[activity], name)
	o.TypeUID, o.TypeName = class*100+activity, className+": "+cmp.Or(ocsfActivities[activity], "Other")
	o.Time, o.Metadata.OriginalTime = at.UnixMilli(), instant(at)
}

func (o *ocsfEvent) action(a *threadline.Action) {
	at := a.OccurredAt
	if at.IsZero() { // it cannot be read
		at = a.RecordedAt
	}
	o.classify(6, 6003, "Application Activity", "API Activity", activityOf(a.Verb()), a.Action, at)
	switch a.Outcome {
	case hooks.Success:
		o.StatusID, o.Status = 1, "Success"
	case hooks.Failure, hooks.Errored:
		o.StatusID, o.Status = 2, "Failure"
	}
	o.Comment = a.Reason
	o.Metadata.CorrelationUID, o.Metadata.TenantUID = a.CorrelationID, a.TenantID
	o.Actor = ocsfActor{ocsfUserOf(a.Actor), a.Application}
	o.API = &ocsfAPI{Operation: a.Action}
	if a.Application != "" {
		o.API.Service = &ocsfService{a.Application}
	}
	if a.RequestID != "" {
		o.API.Request = &ocsfAPIRequest{a.RequestID}
	}
	o.Source = &ocsfEndpoint{IP: a.IPAddress, SvcName: a.Application}
	if *o.Source == (ocsfEndpoint{}) {
		o.Source.Name = "unknown" // the schema wants one
	}
	if a.UserAgent != "" {
		o.Request = &ocsfRequest{a.UserAgent}
	}
	if !a.Target.IsZero() {
		o.Resources = []ocsfResource{{UID: a.Target.ID, Type: a.Target.Type, Name: a.Target.Name}}
	}
}

func (o *ocsfEvent) change(c *changes.Change) {
	d := c.Diff()
	activity := map[changes.Op]int{changes.Insert: ocsfCreate, changes.Update: ocsfUpdate, changes.Delete: ocsfDelete}[c.Op]
	if activity == 0 {
		activity = ocsfOther
	}
	o.classify(3, 3004, "Identity & Access Management", "Entity Management", activity, string(c.Op), c.CapturedAt)
	o.StatusID, o.Status = 1, "Success" // a row change that failed does not exist
	old, now := make(map[string]string), make(map[string]string)
	for _, f := range d.Fields {
		if f.Old.Kind != changes.KindAbsent {
			old[f.Name] = f.Old.String()
		}
		if f.New.Kind != changes.KindAbsent {
			now[f.Name] = f.New.String()
		}
	}
	table := c.Schema + "." + c.Table
	entity := func(key []string, data map[string]string) *ocsfEntity {
		return &ocsfEntity{UID: strings.Join(key, ","), Name: table, Type: "table row", Data: data}
	}
	former := c.Key
	if c.FormerKey != nil {
		former = c.FormerKey
	}
	o.Entity = entity(former, old)
	if c.Op == changes.Insert || c.Op == changes.Update {
		o.EntityResult = entity(c.Key, now)
	}
	if c.Op == changes.Truncate {
		o.Entity.Type = "table"
	}
	by := c.By
	o.Actor.AppName = by.Origin.Application
	if actors := by.Actors(); len(actors) == 1 {
		o.Actor.User = ocsfUserOf(actors[0])
	}
	if o.Actor.User == nil {
		o.Actor.User = &ocsfUser{Name: by.String(), Type: "Unknown"}
	}
	o.Metadata.CorrelationUID = commonValue(by, func(c *changes.Context) string { return c.CorrelationID })
	o.Metadata.TenantUID = commonValue(by, func(c *changes.Context) string { return c.TenantID })
}

// ocsfUserOf returns the actor as a user, with the name or ID that the schema requires.
func ocsfUserOf(a hooks.Actor) *ocsfUser {
	u := &ocsfUser{UID: a.ID, Name: a.Name}
	switch a.Type {
	case hooks.User:
		u.TypeID, u.Type = 1, "User"
	case hooks.Admin:
		u.TypeID, u.Type = 2, "Admin"
	case hooks.System:
		u.TypeID, u.Type = 3, "System"
	case "":
		u.Type = "Unknown"
	default:
		u.TypeID, u.Type = 99, string(a.Type)
	}
	if u.UID == "" && u.Name == "" {
		u.Name = threadline.ActorRef(a)
	}
	return u
}

// activityOf returns the activity for the last word of an action's name.
func activityOf(verb string) int {
	switch verb {
	case "created", "inserted", "added", "placed", "registered", "invited", "uploaded":
		return ocsfCreate
	case "read", "viewed", "listed", "exported", "downloaded", "searched":
		return ocsfRead
	case "updated", "changed", "upserted", "renamed", "moved", "edited", "merged":
		return ocsfUpdate
	case "deleted", "removed", "truncated", "purged", "destroyed":
		return ocsfDelete
	}
	return ocsfOther
}
