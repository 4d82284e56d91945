package threadline

import (
	"reflect"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	f, err := fromOptions(map[string]string{"schema": "trail", "migrate": "false"})
	if err != nil || f.(*Forwarder).opts.Options.Schema != "trail" || !f.(*Forwarder).opts.NoMigrate {
		t.Errorf("%+v, %v", f, err)
	}
	f, err = fromOptions(nil)
	if err != nil || !reflect.ValueOf(f.(*Forwarder).opts).IsZero() {
		t.Errorf("%+v, %v", f, err)
	}
	for name, value := range map[string]string{"migrate": "perhaps", "dsn": "x"} {
		if _, err := fromOptions(map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s = %q: %v", name, value, err)
		}
	}
}
