package forward

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// remedy is an error with statements of several lines.
type remedy struct{ error }

const remedySQL = "-- as the owner\nGRANT TRIGGER ON \"shop\".\"orders\" TO \"app\";\n\tCOMMENT ON TABLE \"shop\".\"orders\" IS E'\\\\';\n"

func (remedy) Statements() string { return remedySQL }

// TestKeepPrintsSQL: what to run can be copied from a console, and is one field in JSON.
func TestKeepPrintsSQL(t *testing.T) {
	var console, lines bytes.Buffer
	log := zap.New(zapcore.NewTee(
		zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.AddSync(&console), zap.WarnLevel),
		zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&lines), zap.WarnLevel)))
	m := &minder{do: fails(Permanent("insufficient_privilege", remedy{errors.New("this role may not")}))}
	w := kept(t, m)
	w.h.hub.log = log
	_ = w.h.keepNow(ctx)

	if !strings.Contains(console.String(), "; run:\n"+remedySQL) {
		t.Errorf("a console shows\n%s", console.String())
	}
	var line struct{ Msg, Error, SQL string }
	if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.SQL != remedySQL || !strings.Contains(line.Error, "this role may not") {
		t.Errorf("as JSON: %s: %v", lines.String(), err)
	}
	t.Logf("%s\n%s", console.String(), lines.String())
}
