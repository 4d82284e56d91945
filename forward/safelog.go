package forward

import (
	"bytes"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// safeCore is the core of the app's logger. Lines are written within the app's commits and
// by goroutines beside it, where a panic of the core would end the process. It becomes the
// error of the write, which zap reports to the logger's error output.
type safeCore struct{ core zapcore.Core }

var _ zapcore.Core = safeCore{}

func safe(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return safeCore{core} }))
}

// Enabled implements zapcore.LevelEnabler.
func (c safeCore) Enabled(l zapcore.Level) (enabled bool) {
	defer func() { _ = recover() }()
	return c.core.Enabled(l)
}

// With implements zapcore.Core. If that of the core panics, its fields are missing.
func (c safeCore) With(fields []zapcore.Field) (with zapcore.Core) {
	with = c
	defer func() { _ = recover() }()
	return safeCore{c.core.With(fields)}
}

// Check implements zapcore.Core. The core itself is asked by Write.
func (c safeCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write implements zapcore.Core.
func (c safeCore) Write(e zapcore.Entry, fields []zapcore.Field) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the logger's core panicked: %v", v)
		}
	}()
	checked := c.core.Check(e, nil)
	if checked == nil {
		return nil
	}
	var failed bytes.Buffer
	checked.ErrorOutput = zapcore.AddSync(&failed)
	checked.Write(fields...)
	if failed.Len() > 0 {
		err = errors.New(failed.String())
	}
	return err
}

// Sync implements zapcore.Core.
func (c safeCore) Sync() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the logger's core panicked: %v", v)
		}
	}()
	return c.core.Sync()
}
