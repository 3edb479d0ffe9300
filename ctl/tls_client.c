// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "ctl/tls_client.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct tls_client {
	SSL_CTX *context;
	SSL *ssl;
	int fd;
	char error[256];
};

// Splits at the last colon; brackets around an IPv6 address go.
static bool host_port_split(const char *text, char *host, size_t host_size, const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return false;
	}
	if (len == 0 || len >= host_size || colon[1] == '\0')
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	*port = colon + 1;
	return true;
}

static int tcp_connect(const char *host, const char *port, char *why, size_t why_size)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses;
	int fd = -1, error = getaddrinfo(host, port, &hints, &addresses);
	if (error != 0) {
		snprintf(why, why_size, "%s: %s", host, gai_strerror(error));
		return -1;
	}
	for (const struct addrinfo *a = addresses; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			break;
		snprintf(why, why_size, "%s: %s", host, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(addresses);
	return fd;
}

// Whose certificate is expected: an address is looked for among its addresses, a name among its
// names.
static bool peer_expect(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
		return true;
	ERR_clear_error();
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static void client_note_error(struct tls_client *client)
{
	snprintf(client->error, sizeof(client->error), "%s",
		tls_failure_reason(client->ssl, ERR_peek_error()));
	ERR_clear_error();
}

static bool client_handshake(struct tls_client *client, const char *host)
{
	client->ssl = SSL_new(client->context);
	if (!client->ssl || !peer_expect(client->ssl, host) ||
		SSL_set_fd(client->ssl, client->fd) != 1)
		return false;
	return SSL_connect(client->ssl) == 1;
}

struct tls_client *tls_client_open(
	const char *host_port, const struct tls_files *files, char *why, size_t why_size)
{
	struct tls_client *client = calloc(1, sizeof(*client));
	if (!client) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	client->fd = -1;
	char host[256];
	const char *port;
	if (!host_port_split(host_port, host, sizeof(host), &port)) {
		snprintf(why, why_size, "\"%s\" is no address; accepted: HOST:PORT or [IPV6]:PORT",
			host_port);
		goto failed;
	}
	client->context = tls_client_context(files, why, why_size);
	if (!client->context)
		goto failed;
	client->fd = tcp_connect(host, port, why, why_size);
	if (client->fd < 0)
		goto failed;
	if (!client_handshake(client, host)) {
		client_note_error(client);
		snprintf(why, why_size, "%s: %s", host, client->error);
		goto failed;
	}
	return client;

failed:
	tls_client_close(client);
	return NULL;
}

bool tls_client_write(struct tls_client *client, const void *data, size_t len)
{
	size_t written;
	if (SSL_write_ex(client->ssl, data, len, &written) == 1)
		return true;
	// A peer that refuses the certificate sends an alert before it closes.
	ERR_clear_error();
	char nothing;
	SSL_read(client->ssl, &nothing, sizeof(nothing));
	client_note_error(client);
	return false;
}

ssize_t tls_client_read(struct tls_client *client, void *data, size_t size)
{
	int n = SSL_read(client->ssl, data, size < INT32_MAX ? (int)size : INT32_MAX);
	if (n > 0)
		return n;
	if (SSL_get_error(client->ssl, n) == SSL_ERROR_ZERO_RETURN)
		return 0;
	client_note_error(client);
	return -1;
}

const char *tls_client_error(const struct tls_client *client)
{
	return client->error[0] != '\0' ? client->error : "the relay closed the connection";
}

void tls_client_close(struct tls_client *client)
{
	if (!client)
		return;
	if (client->ssl && SSL_is_init_finished(client->ssl))
		SSL_shutdown(client->ssl);
	SSL_free(client->ssl);
	SSL_CTX_free(client->context);
	if (client->fd >= 0)
		close(client->fd);
	free(client);
}
