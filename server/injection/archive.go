package injection

import (
	"archive/zip"
	"bytes"
	"io"
	"path"
	"strings"
)

// Bounds of looking into archives.
const (
	maxMembers = 64      // members that are looked at
	maxMember  = 1 << 20 // bytes of one, unpacked
)

// archived reports whether bytes are a zip archive, as office documents are.
func archived(b []byte) bool { return bytes.HasPrefix(b, []byte("PK\x03\x04")) }

// archive reads the texts in a zip archive: the parts of an office document that
// hold its words, and members that are text by their name. An archive in an archive
// is not opened.
func (w *walk) archive(b []byte, at string, whole bool) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil || !whole {
		w.skip(at, "archive")
		return
	}
	for i, f := range z.File {
		if i == maxMembers {
			w.skip(at, "archive")
			return
		}
		w.put(FileName, at, []byte(path.Base(f.Name)))
		w.member(f, at)
	}
}

// member reads one member of an archive.
func (w *walk) member(f *zip.File, at string) {
	ext := strings.ToLower(path.Ext(f.Name))
	switch {
	case f.FileInfo().IsDir(), pictures[ext]:
		return
	case f.Flags&1 != 0:
		w.skip(at, "encrypted")
		return
	case !readable[ext]:
		w.skip(at, "archive")
		return
	}
	r, err := f.Open()
	if err != nil {
		w.skip(at, "archive")
		return
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxMember+1))
	if err != nil || len(text) > maxMember {
		w.skip(at, "archive")
		text = text[:min(len(text), maxMember)]
	}
	if ext == ".xml" || ext == ".html" || ext == ".htm" || ext == ".rels" {
		w.html(text, at, true)
		return
	}
	w.put(Attachment, at, text)
}

// readable are members whose bytes are words.
var readable = map[string]bool{".xml": true, ".rels": true, ".txt": true, ".md": true, ".csv": true, ".json": true, ".html": true, ".htm": true,
	".yaml": true, ".yml": true, ".log": true, ".ics": true, ".eml": true, ".tsv": true}

// pictures are members without words.
var pictures = map[string]bool{".png": true, ".jpg": true, ".jpeg": true, ".gif": true, ".emf": true, ".wmf": true, ".ttf": true, ".odttf": true,
	".mp3": true, ".mp4": true, ".webp": true}
