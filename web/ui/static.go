package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// Style sheet and scripts. htmx.js is htmx.org 2.0.11 and sse.js htmx-ext-sse 2.2.4,
// both Zero-Clause BSD, as their packages have them.
//
//go:embed static
var files embed.FS

// StaticPath is where the files are served.
const StaticPath = "/static/"

// staticNames are the paths of files with the digest of their content inside, so
// that a browser may keep them for ever and never mixes two versions.
var staticNames, staticFiles = nameFiles()

// kinds of our files. The system has a list of all kinds there are, and who starts a
// command would wait for it to be read.
var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

type staticFile struct {
	kind string
	body []byte
}

func nameFiles() (names map[string]string, served map[string]staticFile) {
	names, served = map[string]string{}, map[string]staticFile{}
	entries, err := fs.ReadDir(files, "static")
	if err != nil {
		panic(err) // they are compiled in
	}
	for _, e := range entries {
		body, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		ext := path.Ext(e.Name())
		name := StaticPath + strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		names[e.Name()], served[name] = name, staticFile{kinds[ext], body}
	}
	return names, served
}

// Static is the path of a file of ours.
func Static(name string) string { return staticNames[name] }

// ServeStatic answers with one of our files. They are no secret.
func ServeStatic(w http.ResponseWriter, r *http.Request) {
	f, ok := staticFiles[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(f.body)
}
