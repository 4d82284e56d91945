package threadline

import (
	"fmt"
	"strconv"

	"github.com/go-aftercommit/aftercommit/forward"
)

func init() { forward.Provide("threadline", fromOptions) }

// fromOptions makes a forwarder to the app's own database, for
// [forward.Hub.Configure]. The options are "schema", see [Options], and
// "migrate", which is "true" unless the tables are made by others.
func fromOptions(options map[string]string) (forward.Forwarder, error) {
	if err := forward.OnlyOptions(options, "schema", "migrate"); err != nil {
		return nil, fmt.Errorf("threadline: %w", err)
	}
	migrate := true
	if text, ok := options["migrate"]; ok {
		var err error
		if migrate, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("threadline: the option migrate is %q, and neither true nor false", text)
		}
	}
	return NewForwarder(&ForwarderOptions{Options: Options{Schema: options["schema"]}, NoMigrate: !migrate}), nil
}
