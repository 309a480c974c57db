package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"postern/storage/seal"

	"github.com/google/uuid"
)

// A message on its way to the disk and back: the keys from the root down, the
// envelope under the inbox key, the body under a key of its own.
func Example() {
	dir, err := os.MkdirTemp("", "postern")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	root, err := seal.CreateRootKey(filepath.Join(dir, "root.key"))
	if err != nil {
		log.Fatal(err)
	}

	// Stored: the wrapped keys, each under the one above it.
	org := uuid.Must(uuid.NewV7())
	orgID := seal.Identity{Org: org, Table: "organization", ID: org[:], Purpose: "key"}
	inboxID := seal.Identity{Org: org, Table: "inbox", ID: []byte{1}, Purpose: "key"}
	orgKey, inboxKey := seal.NewKey(), seal.NewKey()
	wrappedOrg, wrappedInbox := root.Key().Wrap(orgKey, orgID), orgKey.Wrap(inboxKey, inboxID)

	// Stored: the envelope, the wrapped data key and the body.
	envelopeID := seal.Identity{Org: org, Table: "message", ID: []byte{1, 7}, Purpose: "envelope", Version: 1}
	dataKeyID := seal.Identity{Org: org, Table: "message", ID: []byte{1, 7}, Purpose: "key", Version: 1}
	bodyID := seal.Identity{Table: "body", ID: []byte{99}, Purpose: "body"}
	dataKey := seal.NewKey()
	envelope := inboxKey.Seal([]byte("Subject: Hello"), envelopeID)
	wrappedData := inboxKey.Wrap(dataKey, dataKeyID)
	var body bytes.Buffer
	w := seal.NewBodyWriter(&body, dataKey, bodyID)
	io.WriteString(w, "Subject: Hello\r\n\r\nHow are you?\r\n")
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	// Back again, from the root key down.
	orgKey, err = root.Key().Unwrap(wrappedOrg, orgID)
	if err != nil {
		log.Fatal(err)
	}
	inboxKey, err = orgKey.Unwrap(wrappedInbox, inboxID)
	if err != nil {
		log.Fatal(err)
	}
	text, err := inboxKey.Open(envelope, envelopeID)
	fmt.Printf("%s, %v\n", text, err)
	dataKey, err = inboxKey.Unwrap(wrappedData, dataKeyID)
	if err != nil {
		log.Fatal(err)
	}
	b, err := seal.OpenBody(bytes.NewReader(body.Bytes()), int64(body.Len()), dataKey, bodyID)
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	part := make([]byte, 12)
	_, err = b.ReadAt(part, 18)
	fmt.Printf("%s, %v\n", part, err)

	// The envelope in the row of another message does not open.
	envelopeID.ID = []byte{1, 8}
	_, err = inboxKey.Open(envelope, envelopeID)
	fmt.Println(errors.Is(err, seal.ErrOpen))
	// Output:
	// Subject: Hello, <nil>
	// How are you?, <nil>
	// true
}
