package driver_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestNameIsTaken: the name that the panic proposes is free.
func TestNameIsTaken(t *testing.T) {
	base := "taken-" + hooks.NewID().String()
	register := func(name string) (message string) {
		defer func() {
			if v := recover(); v != nil {
				message = fmt.Sprint(v)
			}
		}()
		driver.Register(name, base, &keeping{})
		return ""
	}
	for _, name := range []string{base + "-audited", base + "-audited-2", "other-" + base} {
		_ = register(name) // it may have been proposed
		message := register(name)
		if _, proposed, _ := strings.Cut(message, "such as "); proposed == "" || register(strings.Trim(proposed, `"`)) != "" {
			t.Errorf("%s: %s", name, message)
		}
	}
}

// TestModeOfAnUnknownName: the error has the names that are known.
func TestModeOfAnUnknownName(t *testing.T) {
	known := "known-" + hooks.NewID().String()
	driver.Register(known, "base", &keeping{})
	err := driver.SetMode(context.Background(), "knwon", hooks.BestEffort)
	if err == nil || !strings.Contains(err.Error(), `registered as "knwon"`) || !strings.Contains(err.Error(), known) {
		t.Errorf("err = %v", err)
	}
}
