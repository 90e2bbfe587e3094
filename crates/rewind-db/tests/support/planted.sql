-- What a user with CREATE on `public` can plant: under each name that the product's SQL uses, functions and operators that fit better
-- than the system's, or as well and earlier on the path. Each raises an error where it is called. The names come in `planted.names`.
-- What cannot be made has arguments of a kind that only the system has, or is there already.
DO $$
DECLARE
    types text[] := ARRAY['text', 'name', 'varchar', 'int2', 'int4', 'int8', 'oid', 'bool', '"char"', 'timestamptz', 'pg_lsn', 'regclass', 'inet', 'xid', 'text[]', 'int4[]'];
    body text := 'BEGIN RAISE EXCEPTION ''planted''; END';
    l text; r text; operator text; called record;
BEGIN
    FOREACH l IN ARRAY types LOOP
        FOREACH r IN ARRAY types LOOP
            EXECUTE pg_catalog.format('CREATE FUNCTION public.planted(%s, %s) RETURNS boolean LANGUAGE plpgsql AS %L', l, r, body);
            FOREACH operator IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>=', '||', '+', '-', '*', '~', '!~', '~~', '!~~'] LOOP
                EXECUTE pg_catalog.format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.planted)', operator, l, r);
            END LOOP;
        END LOOP;
    END LOOP;
    FOR called IN SELECT DISTINCT p.proname FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace
        AND p.proname::text = ANY (pg_catalog.string_to_array(pg_catalog.current_setting('planted.names'), ',')) LOOP
        FOREACH l IN ARRAY types LOOP
            EXECUTE pg_catalog.format('CREATE FUNCTION public.%I(%s) RETURNS text LANGUAGE plpgsql AS %L', called.proname, l, body);
            FOREACH r IN ARRAY types LOOP
                EXECUTE pg_catalog.format('CREATE FUNCTION public.%I(%s, %s) RETURNS text LANGUAGE plpgsql AS %L', called.proname, l, r, body);
            END LOOP;
        END LOOP;
    END LOOP;
    FOR called IN SELECT p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid) AS arguments FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
        AND p.proname::text = ANY (pg_catalog.string_to_array(pg_catalog.current_setting('planted.names'), ',')) LOOP
        BEGIN
            EXECUTE pg_catalog.format('CREATE FUNCTION public.%I(%s) RETURNS text LANGUAGE plpgsql AS %L', called.proname, called.arguments, body);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    FOR called IN SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v') LOOP
        EXECUTE pg_catalog.format('CREATE VIEW public.%I AS SELECT public.planted(1, 1)', called.relname);
    END LOOP;
END $$;
