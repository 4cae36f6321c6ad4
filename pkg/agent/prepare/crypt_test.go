package prepare

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The hashes are those of glibc's crypt(3).
func TestCryptSHA512(t *testing.T) {
	for _, c := range []struct{ password, salt, want string }{
		{"Hello world!", "saltstring", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		{"This is just a test", "toolongsaltstring", "$6$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0"},
		{"ünï", "ab", "$6$ab$Yv7kHGSCpRo9YlHvmg2hH20jJWf10HiIPcz8JHRkRACWrEF0WiwTI3KG9aF5bnFCo9Ehojgdrj5jSfYztf3qp."},
		{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "0123456789abcdef", "$6$0123456789abcdef$hdKQR3U1ofzUBt70lpJrj9gRNuOHUPP5vMHbJtWeAVw9d3x7kUXPRZHmXi8rquaE8P8IDbMUrlAn6yB.w0e9w1"},
		{"a", ".", "$6$.$YvqqzNxEkbJW8n5lLF4RWQoRffulsqf72Eotc6Mwu8CWWIF857sv6hd6Qp45jyqtKxtl2UMOam2VGIyYDecFt0"},
		{"sixty-four-bytes-sixty-four-bytes-sixty-four-bytes-sixty-four-bytes-", "z/", "$6$z/$Apmu47g1Xdko864cO7vfJGr/n86mDtsk8CK9IfpL7w9RG/bhGFzMYFpYzkAsFQzxH.kIKgc9ccxv4/ZYQNE4s."},
	} {
		assert.Equal(t, c.want, cryptSHA512(c.password, c.salt), c.password)
	}
}
