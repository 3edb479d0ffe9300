// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/secmem.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <openssl/crypto.h>

enum {
	// Ephemeral keys of all handshakes at once, the relay's own key, the random generators
	OPENSSL_HEAP_SIZE = 1 << 20, // octets, as the next
	OPENSSL_HEAP_PIECE = 32,
	HUGE_PAGE_SIZE = 2 << 20,
};

// What stands in front of every block of secmem_malloc(); keeps malloc()'s alignment.
struct block {
	_Alignas(max_align_t) size_t size; // octets after this header
};

static atomic_bool not_locked;
static _Atomic size_t first_refused;

bool secmem_all_locked(void)
{
	return !atomic_load(&not_locked);
}

void secmem_wipe(void *p, size_t size)
{
	explicit_bzero(p, size);
}

bool secmem_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void *secmem_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		size_t none = 0;
		atomic_compare_exchange_strong(&first_refused, &none, size);
		return NULL;
	}
	// A forked child must not inherit a copy that nobody wipes.
	if (madvise(p, size, MADV_DONTDUMP) < 0 || madvise(p, size, MADV_DONTFORK) < 0) {
		int error = errno;
		munmap(p, size);
		errno = error;
		return NULL;
	}
	// Tables of which any line may be next: with pages of 4 KiB nearly every look-up would walk
	// the page tables. Best effort, as the lock is.
	if (size >= HUGE_PAGE_SIZE)
		(void)madvise(p, size, MADV_HUGEPAGE);
	if (mlock2(p, size, MLOCK_ONFAULT) != 0)
		atomic_store(&not_locked, true);
	return p;
}

void secmem_keep(void *p, size_t size)
{
	if (madvise(p, size, MADV_DONTDUMP) < 0 || madvise(p, size, MADV_DONTFORK) < 0 ||
		mlock2(p, size, MLOCK_ONFAULT) != 0)
		atomic_store(&not_locked, true);
}

size_t secmem_map_refused(void)
{
	return atomic_load(&first_refused);
}

void secmem_lock(void *p, size_t size)
{
	const uintptr_t page = 4096;
	uintptr_t start = (uintptr_t)p & ~(page - 1);
	size_t len = (uintptr_t)p + size - start;
	if (madvise((void *)start, len, MADV_DONTDUMP) < 0 || mlock((void *)start, len) < 0)
		atomic_store(&not_locked, true);
}

void secmem_unmap(void *p, size_t size)
{
	if (p)
		munmap(p, size);
}

void *secmem_malloc(size_t size)
{
	if (size > SIZE_MAX - sizeof(struct block)) {
		errno = ENOMEM;
		return NULL;
	}
	struct block *block = malloc(sizeof(*block) + size);
	if (!block)
		return NULL;
	block->size = size;
	return block + 1;
}

void *secmem_realloc(void *p, size_t size)
{
	void *moved = secmem_malloc(size);
	if (!moved || !p)
		return moved;
	// Moved by hand even if it shrinks: realloc() could leave the old octets behind.
	const struct block *block = (const struct block *)p - 1;
	memcpy(moved, p, block->size < size ? block->size : size);
	secmem_free(p);
	return moved;
}

void secmem_free(void *p)
{
	if (!p)
		return;
	struct block *block = (struct block *)p - 1;
	secmem_wipe(block, sizeof(*block) + block->size);
	free(block);
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return secmem_malloc(size);
}

static void *openssl_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return secmem_realloc(p, size);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	secmem_free(p);
}

bool secmem_serve_openssl(void)
{
	// The heap says 2 if it could not be locked, which secmem_map() bears as well.
	return CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) == 1 &&
	       CRYPTO_secure_malloc_init(OPENSSL_HEAP_SIZE, OPENSSL_HEAP_PIECE) != 0;
}
