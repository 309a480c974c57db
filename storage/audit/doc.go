// Package audit keeps the record of everything that happened, so that nobody can change it unseen.
package audit
