package legacy_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"testing"
)

const (
	siteTitle = "Tides of the day"
	feedTitle = "Tides"
)

// site serves what a feed reader wants: a page, its feed, and an icon.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	var icon bytes.Buffer
	if err := png.Encode(&icon, image.NewGray(image.Rect(0, 0, 16, 16))); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	serve := func(path, kind, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			// A client that goes away is no news.
			_, _ = w.Write([]byte(body))
		})
	}
	serve("/{$}", "text/html; charset=utf-8", page)
	serve("/feed.xml", "application/rss+xml", feed(s.URL))
	serve("/icon.png", "image/png", icon.String())
	serve("/tide/", "text/html; charset=utf-8", "<!doctype html><title>Tide</title><article><p>High water at noon.</p></article>")
	return s
}

const page = `<!doctype html><html><head><title>` + siteTitle + `</title>
<link rel="alternate" type="application/rss+xml" title="` + feedTitle + `" href="/feed.xml">
<link rel="icon" type="image/png" href="/icon.png"></head><body></body></html>`

func feed(url string) string {
	items := ""
	for i := 1; i <= 3; i++ {
		items += fmt.Sprintf(`<item><title>Tide %d</title><link>%s/tide/%d</link><guid>%s/tide/%d</guid>
<pubDate>Mon, 0%d Jan 2024 12:00:00 GMT</pubDate><description>High water</description>
<enclosure url="%s/tide/%d.mp3" length="1" type="audio/mpeg"/></item>`, i, url, i, url, i, i, url, i)
	}
	return `<?xml version="1.0"?><rss version="2.0"><channel><title>` + feedTitle + `</title><link>` + url +
		`/</link><description>When to swim</description>` + items + `</channel></rss>`
}
