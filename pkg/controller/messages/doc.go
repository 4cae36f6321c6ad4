// Package messages holds every text that users see in conditions and events, so that the texts can be read and edited
// in one place. A function or constant makes the message of one reason. The package decides nothing: callers choose
// the reason. Do not write such a text anywhere else.
package messages
