package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"postern/storage"
)

const (
	secretPrefix = "whsec_"
	secretBytes  = 32 // the standard: 24 to 64
)

func newKey() []byte {
	key := make([]byte, secretBytes)
	rand.Read(key)
	return key
}

// secretText is a key as people hand it over.
func secretText(key []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(key) }

// sign is the standard's symmetric signature, identifier v1.
func sign(key []byte, id string, at time.Time, payload []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(payload)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// signatures are those of all secrets that hold at a time, the newest first.
func signatures(secrets []storage.WebhookSecret, id string, at time.Time, payload []byte) string {
	var all []string
	for _, s := range secrets {
		if s.Until.IsZero() || at.Before(s.Until) {
			all = append(all, sign(s.Key, id, at, payload))
		}
	}
	return strings.Join(all, " ")
}
